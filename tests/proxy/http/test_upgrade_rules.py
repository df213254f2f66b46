"""Upgrade: what passes to the app, and what a 426 tells the client (RFC 9110 §7.8, §15.5.22)."""

from __future__ import annotations

import pytest

from kssl.proxy.http.codec import Codec, get_codec
from kssl.proxy.http.forward import ClientInfo, build_upstream_request
from kssl.proxy.http.memo import ResponseMemo
from kssl.proxy.http.messages import Limits

CODECS = [get_codec(name) for name in ("httptools", "h11")]
LIMITS = Limits()
CLIENT = ClientInfo("192.0.2.1", 1000)
BODY = b"Content-Length: 30"
CHUNKED = b"Transfer-Encoding: chunked"

each_codec = pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)


def sent_for(codec: Codec, *lines: bytes) -> list[bytes]:
    """The lines that the app gets."""
    head = b"\r\n".join((b"POST /exec/1/start HTTP/1.1", b"Host: a", *lines, b"", b""))
    sent = build_upstream_request(codec.parse_request(head, LIMITS), CLIENT)
    return sent.split(b"\r\n")


@each_codec
@pytest.mark.parametrize("framing", [(), (b"Content-Length: 0",), (BODY,), (CHUNKED,)])
def test_an_upgrade_passes_with_and_without_a_body(
    codec: Codec, framing: tuple[bytes, ...]
) -> None:
    sent = sent_for(codec, *framing, b"Connection: Upgrade", b"Upgrade: tcp")
    assert b"Connection: upgrade" in sent
    assert b"Upgrade: tcp" in sent
    for line in framing:
        assert line in sent


@each_codec
@pytest.mark.parametrize("framing", [(), (BODY,), (CHUNKED,)])
@pytest.mark.parametrize("offer", [b"h2c", b"H2C", b"h2", b"h2c-17", b"HTTP/2.0"])
def test_another_http_is_not_offered(
    codec: Codec, framing: tuple[bytes, ...], offer: bytes
) -> None:
    """Nothing of it is left, so the request goes on as one of HTTP/1.1."""
    plain = sent_for(codec, *framing)
    asked = sent_for(
        codec,
        *framing,
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: " + offer,
        b"HTTP2-Settings: AAMAAABkAAQAAP__",
    )
    assert asked == plain


@each_codec
def test_the_rest_of_a_list_is_offered(codec: Codec) -> None:
    sent = sent_for(codec, b"Connection: Upgrade", b"Upgrade: h2c, websocket, HTTP/2.0")
    assert b"Upgrade: websocket" in sent


def answered(codec: Codec, *lines: bytes, status: bytes, stays: bool, version: bytes) -> bytes:
    """What the client gets of a response."""
    raw = b"\r\n".join((b"HTTP/1.1 " + status, *lines, b"Content-Length: 0", b"", b""))
    request = codec.parse_request(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version, LIMITS)
    memo = ResponseMemo()
    texts = {memo.parse(raw, request, stays, codec, LIMITS).text for _ in range(2)}
    (text,) = texts
    return text


UPGRADE = (b"Upgrade: tcp/1, websocket", b"Connection: Upgrade")


@each_codec
@pytest.mark.parametrize(("stays", "option"), [(True, b"upgrade"), (False, b"upgrade, close")])
def test_426_keeps_its_upgrade(codec: Codec, stays: bool, option: bytes) -> None:
    text = answered(codec, *UPGRADE, status=b"426 Upgrade Required", stays=stays, version=b"1.1")
    lines = text.split(b"\r\n")
    assert b"Upgrade: tcp/1, websocket" in lines
    assert [line for line in lines if line.startswith(b"Connection:")] == [b"Connection: " + option]


@each_codec
@pytest.mark.parametrize(
    ("lines", "status", "version"),
    [
        (UPGRADE, b"200 OK", b"1.1"),
        (UPGRADE, b"426 Upgrade Required", b"1.0"),
        ((b"Upgrade: web socket",), b"426 Upgrade Required", b"1.1"),
        ((b"Upgrade:",), b"426 Upgrade Required", b"1.1"),
    ],
    ids=["200", "HTTP/1.0", "no list", "empty"],
)
def test_no_upgrade_elsewhere(
    codec: Codec, lines: tuple[bytes, ...], status: bytes, version: bytes
) -> None:
    text = answered(codec, *lines, status=status, stays=True, version=version)
    assert b"upgrade:" not in text.lower()
    assert b"connection: upgrade" not in text.lower()
