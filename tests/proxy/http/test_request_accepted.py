"""Requests that must pass: whole, byte by byte, and with a pipelined request behind them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from kssl.proxy.http.codec import Codec
from kssl.proxy.http.messages import RequestHead
from tests.proxy.http.drive import CODEC_IDS, CODECS, pieces, read_requests, view
from tests.proxy.http.test_request_refused import CHUNKED, get

NEXT = b"DELETE /next HTTP/1.1\r\nHost: next\r\nContent-Length: 2\r\n\r\nok"

# stream → attributes of the head, body
Case = tuple[bytes, Mapping[str, object], bytes]
ACCEPTED: list[Case] = [
    (get(), {"method": b"GET", "target": b"/", "version": b"1.1", "host": b"a"}, b""),
    (get(), {"keep_alive": True, "content_length": None, "chunked": False, "upgrade": None}, b""),
    (b"\r\n\r\n" + get(), {"host": b"a"}, b""),
    (get(start=b"GET / HTTP/1.0", host=b""), {"version": b"1.0", "host": b""}, b""),
    (get(start=b"GET / HTTP/1.0"), {"keep_alive": False, "host": b"a"}, b""),
    (get(b"Connection: Keep-Alive", start=b"GET / HTTP/1.0"), {"keep_alive": True}, b""),
    (get(b"Connection: close"), {"keep_alive": False}, b""),
    (get(b"Connection: keep-alive, CLOSE"), {"keep_alive": False}, b""),
    (get(b"Connection: keep-alive", b"Connection: close"), {"keep_alive": False}, b""),
    (get(b"Connection: , x,,"), {"connection_options": frozenset({b"x"})}, b""),
    (get(b"Connection: X-Foo, Cookie"), {"connection_options": {b"x-foo", b"cookie"}}, b""),
    (get(b"Content-Length: 5") + b"hello", {"content_length": 5}, b"hello"),
    (get(b"Content-Length: \t 5 \t") + b"hello", {"content_length": 5}, b"hello"),
    (get(b"Content-Length:5") + b"hello", {"content_length": 5}, b"hello"),
    (get(b"content-LENGTH: 0005") + b"hello", {"content_length": 5}, b"hello"),
    (get(b"Content-Length: 0"), {"content_length": 0}, b""),
    (get(CHUNKED) + b"0\r\n\r\n", {"chunked": True, "content_length": None}, b""),
    (get(b"transfer-encoding:\tCHUNKED \t") + b"0\r\n\r\n", {"chunked": True}, b""),
    (get(CHUNKED) + b"5\r\nhello\r\n06\r\n world\r\n00\r\n\r\n", {}, b"hello world"),
    (get(CHUNKED) + b"a\r\n0123456789\r\nA;a;b=c; d = \"\\\"x\"\r\n0123456789\r\n0;z\r\n\r\n",
     {}, b"0123456789" * 2),
    (get(CHUNKED) + b"0000000000000005\r\nhello\r\n0\r\nX: 1\r\nGrpc-Status: 0\r\n\r\n",
     {}, b"hello"),
    (get(start=b"HEAD / HTTP/1.1"), {"method": b"HEAD"}, b""),
    (get(b"Content-Length: 1", start=b"HEAD / HTTP/1.1") + b"x", {"content_length": 1}, b"x"),
    (get(start=b"OPTIONS * HTTP/1.1"), {"target": b"*"}, b""),
    (get(start=b"PROPFIND /d HTTP/1.1"), {"method": b"PROPFIND"}, b""),
    (get(start=b"F!o.o /d HTTP/1.1"), {"method": b"F!o.o"}, b""),
    (get(start=b"SOURCE /d HTTP/1.1"), {"method": b"SOURCE"}, b""),
    (get(start=b"PRI /d HTTP/1.1"), {"method": b"PRI"}, b""),
    (get(start=b"get / HTTP/1.1"), {"method": b"get"}, b""),
    (get(start=b"GET //x/..%2f?a=[|]{^}\"<>\\`'~ HTTP/1.1"),
     {"target": b"//x/..%2f?a=[|]{^}\"<>\\`'~"}, b""),
    (get(start=b"GET http://a/x?y HTTP/1.1"), {"target": b"/x?y", "host": b"a"}, b""),
    (get(start=b"GET HTTP://A:80 HTTP/1.1"), {"target": b"/"}, b""),
    (get(start=b"GET https://a:443?q HTTP/1.1"), {"target": b"/?q"}, b""),
    (get(start=b"GET https://a/ HTTP/1.1", host=b"Host: A:443\r\n"), {"target": b"/"}, b""),
    (get(start=b"GET http://b:8/x HTTP/1.0", host=b""), {"target": b"/x", "host": b"b:8"}, b""),
    (get(start=b"OPTIONS http://a HTTP/1.1"), {"target": b"*"}, b""),
    (get(start=b"OPTIONS http://a/ HTTP/1.1"), {"target": b"/"}, b""),
    *(
        (get(host=b"Host: " + value + b"\r\n"), {"host": value}, b"")
        for value in (
            b"app.localhost:8443",
            b"a:",
            b"a:65535",
            b"1.2.3.4",
            b"[::1]",
            b"[::1]:443",
            b"[::ffff:1.2.3.4]",
            b"a%20b",
            b"a_b",
            b"x" * 300,
        )
    ),
    (get(b"Expect: 100-Continue", b"Content-Length: 2") + b"hi", {"expect_continue": True}, b"hi"),
    (get(b"Expect: 100-continue", CHUNKED) + b"0\r\n\r\n", {"expect_continue": True}, b""),
    (get(b"Expect: 100-Continue"), {"expect_continue": False}, b""),
    (get(b"Expect: 100-continue", b"Content-Length: 0"), {"expect_continue": False}, b""),
    (get(b"Expect: whatever", start=b"GET / HTTP/1.0"), {"expect_continue": False}, b""),
    (get(b"Connection: Upgrade", b"Upgrade: websocket"), {"upgrade": b"websocket"}, b""),
    (get(b"Connection: keep-alive, Upgrade", b"Upgrade: a/1, b"), {"upgrade": b"a/1, b"}, b""),
    (get(b"Upgrade: websocket"), {"upgrade": None}, b""),
    (get(b"Connection: upgrade"), {"upgrade": None}, b""),
    (get(b"Connection: Upgrade", b"Upgrade: websocket", start=b"GET / HTTP/1.0"),
     {"upgrade": None}, b""),
    (get(b"Connection: Upgrade", b"Upgrade: websocket", b"Content-Length: 2") + b"hi",
     {"upgrade": b"websocket", "content_length": 2}, b"hi"),
    (get(b"Connection: Upgrade", b"Upgrade: websocket", CHUNKED) + b"0\r\n\r\n",
     {"upgrade": b"websocket", "chunked": True}, b""),
    (get(b"HTTP2-Settings: AAMAAABkAAQAAP__"), {"upgrade": None}, b""),
    (get(b"Upgrade: h2c"), {"upgrade": None}, b""),
    *(
        (get(b"Connection: upgrade, http2-settings", b"HTTP2-Settings: AAMAAABk", *lines),
         {"upgrade": left}, b"")
        for *lines, left in (
            (b"Upgrade: H2C", None),
            (b"Upgrade: h2", None),
            (b"Upgrade: h2c-14, h2-14", None),
            (b"Upgrade: HTTP/2.0", None),
            (b"Upgrade: websocket, h2c", b"websocket"),
            (b"Upgrade: h2c,websocket , a/1", b"websocket, a/1"),
            (b"Upgrade: websocket", b"Upgrade: h2c/1", b"websocket"),
            (b"Upgrade: h2cat", b"h2cat"),
        )
    ),
    (get(b"X-Empty:", b"X-Blank: ", b"X-Two:\t \t", b"Y: 1"),
     {"fields": [(b"host", b"Host", b"a"), (b"x-empty", b"X-Empty", b""),
                 (b"x-blank", b"X-Blank", b""), (b"x-two", b"X-Two", b""), (b"y", b"Y", b"1")]},
     b""),
    (get(b"X:", b"Y:", b"Z:", host=b"Host:a\r\n"),
     {"fields": [(b"host", b"Host", b"a"), (b"x", b"X", b""), (b"y", b"Y", b""),
                 (b"z", b"Z", b"")]},
     b""),
    (get(b"x-ODD!#$%&'*+-.^_`|~: a \t\xe4\xff:b", b"COOKIE:  c \t"),
     {"fields": [(b"host", b"Host", b"a"),
                 (b"x-odd!#$%&'*+-.^_`|~", b"x-ODD!#$%&'*+-.^_`|~", b"a \t\xe4\xff:b"),
                 (b"cookie", b"COOKIE", b"c")]},
     b""),
]  # fmt: skip
CASES = [
    pytest.param(*case, id=f"{number}-{case[0][:60]!r}") for number, case in enumerate(ACCEPTED)
]


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize(("stream", "attributes", "body"), CASES)
def test_accepted(
    codec: Codec, stream: bytes, attributes: Mapping[str, object], body: bytes
) -> None:
    (whole,) = read_requests(codec, [stream])
    assert isinstance(whole.head, RequestHead)
    for name, expected in attributes.items():
        assert getattr(whole.head, name) == expected, name
    assert whole.body == body
    (bytewise,) = read_requests(codec, pieces(stream, 1))
    assert view(bytewise) == view(whole)
    for size in (0, 1, 7):
        first, second = read_requests(codec, pieces(stream + NEXT, size))
        assert view(first) == view(whole)
        assert isinstance(second.head, RequestHead)
        assert (second.head.target, second.body) == (b"/next", b"ok")


@pytest.mark.parametrize(("stream", "attributes", "body"), CASES)
def test_codecs_agree(stream: bytes, attributes: Mapping[str, object], body: bytes) -> None:
    first, second = (read_requests(codec, [stream])[0] for codec in CODECS)
    assert view(first) == view(second)


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize("size", [0, 1, 3])
def test_trailers(codec: Codec, size: int) -> None:
    stream = get(CHUNKED) + b"1\r\nx\r\n0\r\nX-Sum: 1 \r\nGrpc-Status: 0\r\n\r\n"
    (message,) = read_requests(codec, pieces(stream, size))
    assert message.trailers == [
        (b"x-sum", b"X-Sum", b"1"),
        (b"grpc-status", b"Grpc-Status", b"0"),
    ]
