"""Keep-Alive in a response: for how long the app keeps the connection."""

from __future__ import annotations

import pytest

from kssl.proxy.http.codec import Codec, get_codec
from kssl.proxy.http.keep_alive import idle_limit
from kssl.proxy.http.memo import ResponseMemo
from kssl.proxy.http.messages import Limits

CODECS = [get_codec(name) for name in ("httptools", "h11")]
LIMITS = Limits()

CASES: list[tuple[bytes, int | None]] = [
    (b"timeout=5", 5),
    (b"timeout=5, max=100", 5),
    (b"max=100, timeout=5", 5),
    (b"max=100,timeout=5", 5),
    (b"Timeout = 15 ,Max= 1", 15),
    (b'timeout="7"', 7),
    (b"timeout=0", 0),
    (b"timeout=5, max=0", 0),
    (b"max=0, timeout=5", 0),
    (b"max=0", 0),
    (b"max=100", None),
    (b"timeout=5, timeout=3", 3),
    (b"", None),
    (b"5", None),
    (b"timeout", None),
    (b"timeout=", None),
    (b"timeout=-5", None),
    (b"timeout=5.5", None),
    (b"timeout=five", None),
    (b"timeout=9999999", None),
    (b"timeout=999999", 999999),
    (b"timeouts=5", None),
    (b"timeout=x, timeout=4", 4),
]


@pytest.mark.parametrize(("value", "limit"), CASES)
def test_the_value(value: bytes, limit: int | None) -> None:
    assert idle_limit(value) == limit


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK"])
@pytest.mark.parametrize(
    ("lines", "limit"),
    [
        *(([b"Keep-Alive: " + value], limit) for value, limit in CASES),
        ([], None),
        ([b"keep-alive:timeout=5 \t"], 5),
        ([b"KEEP-ALIVE: TIMEOUT=5"], 5),
        ([b"Keep-Alive: timeout=9", b"Keep-Alive: timeout=4"], 4),
        ([b"Keep-Alive: timeout=9", b"X: 1", b"Keep-Alive: max=0"], 0),
        ([b"Keep-Alive: timeout=5", b"Via: 1.1 other"], 5),
        ([b"X-Keep-Alive: timeout=5"], None),
        ([b"X: keep-alive: timeout=5"], None),
    ],
)
def test_both_codecs(codec: Codec, start: bytes, lines: list[bytes], limit: int | None) -> None:
    more = b"Connection: keep-alive"
    raw = b"\r\n".join((start, more, *lines, b"Content-Length: 0", b"", b""))
    for _ in range(2):
        head = codec.parse_response(raw, b"GET", upgrade_asked=None, limits=LIMITS)
        assert head.idle_limit == limit
        assert head.keep_alive


@pytest.mark.parametrize("codec", CODECS, ids=lambda codec: codec.name)
def test_it_goes_no_further(codec: Codec) -> None:
    """It is about one connection, and the client has another."""
    request = codec.parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", LIMITS)
    raw = b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5\r\nContent-Length: 0\r\n\r\n"
    memo = ResponseMemo()
    for _ in range(2):
        response = memo.parse(raw, request, True, codec, LIMITS)
        assert b"keep-alive" not in response.text.lower()
        assert response.head.idle_limit == 5
