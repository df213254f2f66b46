"""The WebSocket echo server behind the peers."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from kssl.bench import echo


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with echo.running() as running:
        yield running


def test_messages_come_back(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/any", compression=None, proxy=None) as client:
        for message in (b"", b"x" * 125, "text", b"y" * 126, b"z" * 70_000, ["in", "", "parts"]):
            client.send(message)
            assert client.recv() == ("".join(message) if isinstance(message, list) else message)
        assert client.ping().wait(20)
    assert client.close_code == 1000


def test_a_frame_without_a_mask_ends_the_connection(port: int) -> None:
    with connect(f"ws://127.0.0.1:{port}/", compression=None, proxy=None) as client:
        client.socket.sendall(b"\x81\x01x")
        with pytest.raises(ConnectionClosed):
            client.recv(20)


def test_what_is_no_websocket(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
        assert client.recv(4096) == b""


def test_frames_in_pieces() -> None:
    frame = b"\x82\xfe\x00\x80" + b"\x01\x02\x03\x04" + b"\x00" * 128
    answer = b"\x82\x7e\x00\x80" + b"\x01\x02\x03\x04" * 32
    for cut in range(len(frame)):
        buffer = bytearray(frame[:cut])
        assert echo.echo(buffer) == (b"", False)
        buffer += frame[cut:] + frame
        assert echo.echo(buffer) == (answer * 2, False)
        assert not buffer


def test_the_answer_of_the_rfc() -> None:
    head = b"GET /chat HTTP/1.1\r\nsec-websocket-key:  dGhlIHNhbXBsZSBub25jZQ==\r\n"
    key = echo.find_key(head)
    assert key is not None
    assert echo.accept_value(key) == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
