"""Answers of apps that are odd: what passes, what is 502 at once, and with which words."""

from __future__ import annotations

import pytest

from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig
from tests.proxy.frontend.upstreams import UpstreamSide, answer_all, response

pairs = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "h11")], ids=["kernel-httptools", "user-h11"],
    indirect=True,
)  # fmt: skip


@pairs
@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\n\n",),
        (b"HTTP/1.1 200 OK\r\n", b"Content-Length: 0\r", b"\r"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a\0b"),
    ],
)
def test_a_head_with_other_line_ends_is_502_at_once(
    proxy: Rig, serve: Serve, caplog: pytest.LogCaptureFixture, pieces: tuple[bytes, ...]
) -> None:
    """The app waits for the next request and closes nothing, and the time limits are far away."""

    def script(side: UpstreamSide) -> None:
        side.read_head()
        for piece in pieces:
            side.send(piece)
        side.read_to_end()

    serve(script, upstream_response_timeout=3600)
    with proxy.client() as client:
        answer = client.ask()
    assert answer.status == 502
    assert b"a bare CR, a bare LF or a NUL" in answer.body
    assert "bare LF" in caplog.text


@pairs
def test_a_head_that_comes_byte_by_byte_is_none_of_these(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        while True:
            side.read_head()
            side.send_bytewise(response(b"abc", b"X: y"))

    serve(script)
    with proxy.client() as client:
        assert [client.ask().body for _ in range(3)] == [b"abc"] * 3


@pairs
def test_spaces_before_colons_and_equal_lengths_pass_repaired(proxy: Rig, serve: Serve) -> None:
    serve(
        answer_all(
            b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length: 3\r\nContent-Length : 3\r\n\r\nabc",
            b"HTTP/1.1 999 Request denied\r\nContent-Length: 2, 2\r\n\r\nno",
        )
    )
    with proxy.client() as client:
        first, second = client.ask(), client.ask()
    assert (first.status, first.body, first.get(b"x-a")) == (200, b"abc", b"b")
    assert (second.status, second.body) == (999, b"no")
