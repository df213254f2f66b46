"""Responses of upstreams: what becomes 502, and how the end of the others is known."""

from __future__ import annotations

import pytest

from kssl.proxy.http.codec import Codec
from kssl.proxy.http.messages import Framing, Limits, ResponseHead, UpstreamError
from kssl.proxy.http.response_rules import UpgradeAsked
from tests.proxy.http.drive import CODEC_IDS, CODECS, LIMITS, read_body

CHUNKED = b"Transfer-Encoding: chunked"


def response(*lines: bytes, start: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return start + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def parse(
    codec: Codec, head: bytes, method: bytes = b"GET", asked: UpgradeAsked = None
) -> ResponseHead:
    return codec.parse_response(head, method, upgrade_asked=asked, limits=LIMITS)


REFUSED = [
    *(
        response(start=start)
        for start in (
            b"",
            b"garbage",
            b"HTTP/1.1",
            b"HTTP/1.1 ",
            b"HTTP/1.1 20 OK",
            b"HTTP/1.1 2000 OK",
            b"HTTP/1.1 2xx OK",
            b"HTTP/1.1  200 OK",
            b"HTTP/1.1\t200 OK",
            b" HTTP/1.1 200 OK",
            b"HTTP/1.1 099 OK",
            b"HTTP/1.1 000 OK",
            b"HTTP/1.1 +20 OK",
            b"HTTP/1.1 200OK",
            b"HTTP/1.2 200 OK",
            b"HTTP/2.0 200 OK",
            b"HTTP/2 200",
            b"HTTP/0.9 200 OK",
            b"ICY 200 OK",
            b"http/1.1 200 OK",
            b"HTTP/1.1 200 O\x01K",
            b"HTTP/1.1 200 O\0K",
            b"HTTP/1.1 200 O\x7fK",
            b"HTTP/1.1 200 O\rK",
            b"HTTP/1.1 200 O\nK",
        )
    ),
    b"HTTP/1.1 200 OK\nX: a\n\n",
    b"HTTP/1.1 200 OK\r\nX: a\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"",
    b"\r\n\r\n",
    response() + response(),
    *(
        response(*lines)
        for lines in (
            (b"X: a", b" folded"),
            (b"X: a", b"\tfolded"),
            (b" X: a",),
            (b": a",),
            (b" : a",),
            (b"X\x0b: a",),
            (b"X(: a",),
            (b"X y : a",),
            (b"X",),
            (b"X: a\rb",),
            (b"X: a\nb",),
            (b"X: a\0",),
            (b"X: a\x1b",),
            (b"X: a\x7f",),
            (b"Content-Length: 5", b"content-length: 6"),
            (b"Content-Length: 5, 6",),
            (b"Content-Length: 5, 5", b"Content-Length: 6"),
            (b"Content-Length: 5, ",),
            (b"Content-Length: +5, +5",),
            (b"Content-Length: 5", b"Content-Length: 05"),
            (b"Content-Length: +5",),
            (b"Content-Length: -1",),
            (b"Content-Length: 0x5",),
            (b"Content-Length:",),
            (b"Content-Length: 9223372036854775808",),
            (b"Content-Length: 18446744073709551616",),
            (b"Content-Length : 5", CHUNKED),
            (b"Content-Length: 5", b"Content-Length : 6"),
            (b"Content-Length: 5", CHUNKED),
            (CHUNKED, b"Content-Length: 5"),
            (CHUNKED, CHUNKED),
            (b"Transfer-Encoding: gzip, chunked",),
            (b"Transfer-Encoding: chunked, identity",),
            (b"Transfer-Encoding: identity",),
            (b"Transfer-Encoding:",),
            (b"Transfer-Encoding: xchunked",),
            (b"Transfer-Encoding: \x0bchunked",),
            (b"Transfer-Encoding : gzip",),
            (b"Connection: a b",),
            (b"X: " + b"a" * 66000,),
            (b"X: a",) * 201,
        )
    ),
    response(CHUNKED, start=b"HTTP/1.0 200 OK"),
    response(CHUNKED, start=b"HTTP/1.0 204 No"),
]


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize("head", REFUSED, ids=lambda head: repr(head[:60]))
def test_refused(codec: Codec, head: bytes) -> None:
    with pytest.raises(UpstreamError) as caught:
        parse(codec, head)
    assert caught.value.detail.endswith(".")


N, L, C, E = Framing.NONE, Framing.LENGTH, Framing.CHUNKED, Framing.CLOSE
FRAMING: list[tuple[bytes, bytes, Framing, int | None, bool]] = [
    # head, request method → framing, content_length, keep_alive
    (response(b"Content-Length: 5"), b"GET", L, 5, True),
    (response(b"content-length:\t5 "), b"GET", L, 5, True),
    (response(b"Content-Length: 0"), b"GET", L, 0, True),
    (response(b"Content-Length: 5", b"Connection: close"), b"GET", L, 5, False),
    (response(b"Content-Length: 5", start=b"HTTP/1.0 200 OK"), b"GET", L, 5, False),
    (
        response(b"Content-Length: 5", b"Connection: keep-alive", start=b"HTTP/1.0 200 OK"),
        b"GET", L, 5, True,
    ),
    (response(CHUNKED), b"GET", C, None, True),
    (response(b"transfer-encoding: CHUNKED "), b"POST", C, None, True),
    (response(), b"GET", E, None, False),
    (response(b"Connection: keep-alive"), b"GET", E, None, False),
    (response(start=b"HTTP/1.0 200 OK"), b"GET", E, None, False),
    # Where no body may be, one that is announced may come all the same.
    (response(b"Content-Length: 5"), b"HEAD", N, 5, False),
    (response(b"Content-Length: 0"), b"HEAD", N, 0, True),
    (response(b"Content-Length: 0", b"Connection: close"), b"HEAD", N, 0, False),
    (response(CHUNKED), b"HEAD", N, None, False),
    (response(), b"HEAD", N, None, False),
    (response(start=b"HTTP/1.1 304 x"), b"GET", N, None, True),
    (response(start=b"HTTP/1.1 304 x"), b"HEAD", N, None, True),
    (response(b"Content-Length: 5", start=b"HTTP/1.1 304 x"), b"GET", N, 5, False),
    (response(b"Content-Length: 0", start=b"HTTP/1.1 304 x"), b"GET", N, 0, True),
    (response(CHUNKED, start=b"HTTP/1.1 304 x"), b"GET", N, None, False),
    (response(start=b"HTTP/1.1 204 x"), b"GET", N, None, True),
    (response(start=b"HTTP/1.1 204 x"), b"HEAD", N, None, True),
    (response(b"Content-Length: 5", start=b"HTTP/1.1 204 x"), b"GET", N, None, False),
    (response(b"Content-Length: 0", start=b"HTTP/1.1 204 x"), b"GET", N, None, True),
    (response(CHUNKED, start=b"HTTP/1.1 204 x"), b"GET", N, None, False),
    (response(start=b"HTTP/1.1 100 Continue"), b"POST", N, None, True),
    (response(start=b"HTTP/1.1 103 x"), b"HEAD", N, None, True),
    (response(b"Content-Length: 5", start=b"HTTP/1.1 103 x"), b"GET", N, None, False),
    (response(CHUNKED, start=b"HTTP/1.1 102 x"), b"GET", N, None, False),
    (response(b"Connection: close", start=b"HTTP/1.1 103 x"), b"GET", N, None, False),
    (response(start=b"HTTP/1.0 103 x"), b"GET", N, None, False),
    # 205 may have none either, but ends as others do (RFC 9112 section 6.3).
    (response(start=b"HTTP/1.1 205 x"), b"GET", E, None, False),
    (response(b"Content-Length: 0", start=b"HTTP/1.1 205 x"), b"GET", L, 0, True),
    (response(b"Content-Length: 5", start=b"HTTP/1.1 205 x"), b"GET", L, 5, True),
    (response(CHUNKED, start=b"HTTP/1.1 205 x"), b"GET", C, None, True),
    (response(start=b"HTTP/1.1 599 x"), b"GET", E, None, False),
]  # fmt: skip


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize(("head", "method", "framing", "length", "keep_alive"), FRAMING)
def test_framing(
    codec: Codec,
    head: bytes,
    method: bytes,
    framing: Framing,
    length: int | None,
    keep_alive: bool,
) -> None:
    parsed = parse(codec, head, method)
    assert (parsed.framing, parsed.content_length) == (framing, length)
    assert parsed.keep_alive == keep_alive
    reader = codec.response_body(parsed, LIMITS)
    assert (reader is None) == (framing is N or (framing is L and length == 0))


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_the_whole_head(codec: Codec) -> None:
    parsed = parse(codec, response(b"SET-Cookie: a", b"set-cookie:b ", b"ETag:", start=(
        b"HTTP/1.0 404 Not \xe4 \tFound"
    )))  # fmt: skip
    assert (parsed.status, parsed.reason, parsed.version) == (404, b"Not \xe4 \tFound", b"1.0")
    assert parsed.fields == [
        (b"set-cookie", b"SET-Cookie", b"a"),
        (b"set-cookie", b"set-cookie", b"b"),
        (b"etag", b"ETag", b""),
    ]
    assert parsed.upgrade is None


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize("start", [b"HTTP/1.1 200", b"HTTP/1.1 200 "])
def test_the_reason_is_optional(codec: Codec, start: bytes) -> None:
    assert parse(codec, response(start=start)).reason == b""


SWITCH = (b"Connection: Upgrade", b"Upgrade: WebSocket")


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize("asked", [True, b"websocket", b"x, WEBSOCKET"])
def test_switch(codec: Codec, asked: UpgradeAsked) -> None:
    parsed = parse(codec, response(*SWITCH, start=b"HTTP/1.1 101 S"), asked=asked)
    assert (parsed.status, parsed.upgrade, parsed.framing) == (101, b"WebSocket", N)


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize(
    ("start", "lines", "asked"),
    [
        (b"HTTP/1.1 101 S", SWITCH, None),
        (b"HTTP/1.1 101 S", SWITCH, False),
        (b"HTTP/1.1 101 S", SWITCH, b"other"),
        (b"HTTP/1.1 101 S", (*SWITCH, b"Upgrade: h2c"), b"websocket"),
        (b"HTTP/1.0 101 S", SWITCH, b"websocket"),
        (b"HTTP/1.1 101 S", SWITCH[:1], b"websocket"),
        (b"HTTP/1.1 101 S", SWITCH[1:], b"websocket"),
        (b"HTTP/1.1 101 S", (b"Connection: upgrade", b"Upgrade: web socket"), True),
    ],
)
def test_bad_switch(
    codec: Codec, start: bytes, lines: tuple[bytes, ...], asked: UpgradeAsked
) -> None:
    with pytest.raises(UpstreamError):
        parse(codec, response(*lines, start=start), asked=asked)


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize("size", [0, 1, 2, 5])
@pytest.mark.parametrize(
    ("head", "stream", "body", "left"),
    [
        (response(b"Content-Length: 5"), b"helloHTTP", b"hello", b"HTTP"),
        (response(CHUNKED), b"5\r\nhello\r\n0\r\n\r\nHTTP", b"hello", b"HTTP"),
        (response(CHUNKED), b"5;x\r\nhello\r\n0\r\nA: b\r\n\r\nHTTP", b"hello", b"HTTP"),
        (response(), b"hello", b"hello", b""),
    ],
)
def test_bodies(
    codec: Codec, size: int, head: bytes, stream: bytes, body: bytes, left: bytes
) -> None:
    reader = codec.response_body(parse(codec, head), LIMITS)
    assert reader is not None
    assert read_body(reader, stream, size) == (body, left)
    assert reader.done == (head != response())
    assert reader.received == len(body)
    reader.feed_eof()
    assert reader.done
    assert reader.feed(memoryview(b"more")) == ([], 0)


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize(
    ("head", "stream"),
    [
        (response(b"Content-Length: 5"), b"hell"),
        (response(CHUNKED), b""),
        (response(CHUNKED), b"5\r\nhello"),
        (response(CHUNKED), b"5\r\nhello\r\n0\r\n"),
        (response(CHUNKED), b"5\r\nhello\r\n0\r\nX: a\r\n"),
    ],
)
def test_cut_short(codec: Codec, head: bytes, stream: bytes) -> None:
    reader = codec.response_body(parse(codec, head), LIMITS)
    assert reader is not None
    read_body(reader, stream)
    with pytest.raises(UpstreamError, match="closed"):
        reader.feed_eof()


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize("stream", [b"x", b"5\nhello", b"5\r\nhello\n", b"0\r\n X: a\r\n\r\n"])
def test_broken_chunks(codec: Codec, stream: bytes) -> None:
    reader = codec.response_body(parse(codec, response(CHUNKED)), LIMITS)
    with pytest.raises(UpstreamError):
        read_body(reader, stream)


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_forbidden_trailers_are_dropped(codec: Codec) -> None:
    reader = codec.response_body(parse(codec, response(CHUNKED)), LIMITS)
    assert reader is not None
    read_body(reader, b"0\r\nSet-Cookie: a\r\nContent-Length: 3\r\nGrpc-Status: 0\r\n\r\n")
    assert reader.done
    assert reader.trailers == [(b"grpc-status", b"Grpc-Status", b"0")]


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_large_head(codec: Codec) -> None:
    lines = [b"Set-Cookie: " + b"a" * 4000] * 12
    assert len(parse(codec, response(*lines)).fields) == 12
    with pytest.raises(UpstreamError):
        codec.parse_response(
            response(*lines), b"GET", upgrade_asked=None, limits=Limits(max_response_head=40000)
        )
