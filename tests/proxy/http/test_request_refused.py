"""Requests that must not pass: input bytes → status and HTTPERR reason, over both codecs."""

from __future__ import annotations

import pytest

from kssl.proxy.http.codec import Codec
from kssl.proxy.http.messages import HttpError, Limits
from tests.proxy.http.drive import CODEC_IDS, CODECS, pieces, read_requests

Case = tuple[bytes, int, str]


def get(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a\r\n") -> bytes:
    """A request head with these lines after Host."""
    return start + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


LINE: list[Case] = [
    (get(start=b"GET /"), 400, "BadRequest"),
    (get(start=b"GET"), 400, "BadRequest"),
    (get(start=b""), 400, "BadRequest"),
    (get(start=b" GET / HTTP/1.1"), 400, "BadRequest"),
    (get(start=b"GET  / HTTP/1.1"), 400, "BadRequest"),
    (get(start=b"GET /  HTTP/1.1"), 400, "BadRequest"),
    (get(start=b"GET / HTTP/1.1 "), 400, "BadRequest"),
    (get(start=b"GET\t/ HTTP/1.1"), 400, "BadRequest"),
    (get(start=b"GET / a HTTP/1.1"), 400, "BadRequest"),
    (get(start=b"GET / http/1.1"), 400, "BadRequest"),
    (get(start=b"GET / HTTP/1.10"), 400, "BadRequest"),
    (get(start=b"GET / HTTP/01.1"), 400, "BadRequest"),
    (get(start=b"GET / HTTP/+1.1"), 400, "BadRequest"),
    (get(start=b"GET / XTTP/1.1"), 400, "BadRequest"),
    (get(start=b"G(T / HTTP/1.1"), 400, "Verb"),
    (get(start=b"G\x80T / HTTP/1.1"), 400, "Verb"),
    (get(start=b"G:T / HTTP/1.1"), 400, "Verb"),
    (get(start=b"GET / HTTP/1.2"), 505, "Version_N/S"),
    (get(start=b"GET / HTTP/0.9"), 505, "Version_N/S"),
    (get(start=b"GET / HTTP/2.0"), 505, "Version_N/S"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "Version_N/S"),
]

TARGET: list[Case] = [
    (get(start=b"GET x HTTP/1.1"), 400, "URL"),
    (get(start=b"GET * HTTP/1.1"), 400, "URL"),
    (get(start=b"PRI * HTTP/1.1"), 400, "URL"),
    (get(start=b"GET ?a=/ HTTP/1.1"), 400, "URL"),
    (get(start=b"GET /#f HTTP/1.1"), 400, "URL"),
    (get(start=b"GET /a\x01 HTTP/1.1"), 400, "URL"),
    (get(start=b"GET /a\x7f HTTP/1.1"), 400, "URL"),
    (get(start=b"GET /\xc3\xa4 HTTP/1.1"), 400, "URL"),
    (get(start=b"GET /a\tb HTTP/1.1"), 400, "URL"),
    (get(start=b"GET \\a HTTP/1.1"), 400, "URL"),
    (get(start=b"GET http://b/ HTTP/1.1"), 400, "URL"),
    (get(start=b"GET http://a:81/ HTTP/1.1"), 400, "URL"),
    (get(start=b"GET http://a@a/ HTTP/1.1"), 400, "URL"),
    (get(start=b"GET http:///x HTTP/1.1"), 400, "URL"),
    (get(start=b"GET http://a/#f HTTP/1.1"), 400, "URL"),
    (get(start=b"GET https://a:80/ HTTP/1.1"), 400, "URL"),
    (get(start=b"GET ftp://a/ HTTP/1.1"), 400, "URL"),
    (get(start=b"GET http:/a HTTP/1.1"), 400, "URL"),
    (get(start=b"GET a:443 HTTP/1.1"), 400, "URL"),
    (get(start=b"GET http://a%/ HTTP/1.0", host=b""), 400, "Hostname"),
    (get(start=b"GET http:///x HTTP/1.0", host=b""), 400, "Hostname"),
    (get(start=b"GET http://a/ HTTP/1.1", host=b""), 400, "Hostname"),
    (get(start=b"CONNECT a:443 HTTP/1.1"), 405, "Verb"),
    (get(start=b"CONNECT / HTTP/1.1"), 405, "Verb"),
    (get(start=b"CONNECT * HTTP/1.0"), 405, "Verb"),
]

HOST: list[Case] = [
    (get(host=b""), 400, "Hostname"),
    *(
        (get(host=b"Host: " + value + b"\r\n"), 400, "Hostname")
        for value in (
            b"",
            b" ",
            b":80",
            b"a b",
            b"a/b",
            b"u@a",
            b"a:b",
            b"a:80:80",
            b"a:+80",
            b"a:65536",
            b"a:123456",
            b"a?b",
            b"a#b",
            b"a\\b",
            b'a"b',
            b"a<b",
            b"a%2",
            b"a%zz",
            b"\xc3\xa4",
            b"[::1",
            b"::1",
            b"[]",
            b"[1.2.3.4]",
            b"[:::1]",
            b"[1::2::3]",
            b"[fe80::1%25eth0]",
            b"[v1.x]",
            b"[::1]x",
            b"a, b",
        )
    ),
    (get(b"Host: a"), 400, "Hostname"),
    (get(b"HOST: b"), 400, "Hostname"),
    (get(start=b"GET / HTTP/1.0", host=b"Host:\r\n"), 400, "Hostname"),
]

FIELD: list[Case] = [
    (get(b" X: folded first"), 400, "Header"),
    (get(host=b" Host: a\r\n"), 400, "Header"),
    (get(b"X: a", b" folded"), 400, "Header"),
    (get(b"X: a", b"\tfolded"), 400, "Header"),
    (get(b"X: a", b" "), 400, "Header"),
    (get(b"X : a"), 400, "Header"),
    (get(b"X\t: a"), 400, "Header"),
    (get(b": a"), 400, "Header"),
    (get(b"X"), 400, "Header"),
    (get(b"X a"), 400, "Header"),
    (get(b"X(: a"), 400, "Header"),
    (get(b"X\x80: a"), 400, "Header"),
    (get(b'X"Y: a'), 400, "Header"),
    *((get(b"X: a%cb" % code), 400, "Header") for code in (1, 8, 11, 12, 27, 31, 127)),
    *((get(b"X%c: a" % code), 400, "Header") for code in (1, 8, 11, 12, 27, 31, 127)),
    (get(b"X: a\0b"), 400, "Header"),
    (get(b"X\0: a"), 400, "Header"),
    (get(b"X: a\rb"), 400, "Invalid_CR/LF"),
    (get(b"X: a\r"), 400, "Invalid_CR/LF"),
    (get(b"\rX: a"), 400, "Invalid_CR/LF"),
    (get(b"X: a\nY: b"), 400, "Invalid_CR/LF"),
    (get(b"X: a\n Y: b"), 400, "Invalid_CR/LF"),
    (b"GET / HTTP/1.1\nHost: a\n\n", 400, "Invalid_CR/LF"),
    (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "Invalid_CR/LF"),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "Invalid_CR/LF"),
    (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "Invalid_CR/LF"),
    (b"GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, "Invalid_CR/LF"),
    (b"\x16\x03\x01\x02\x00\x01", 400, "Invalid_CR/LF"),
    (get(b"Connection: upgrade", b"Upgrade: web socket"), 400, "Header"),
    (get(b"Connection: upgrade", b"Upgrade:"), 400, "Header"),
    (get(b"Expect: 200-ok"), 417, "Header"),
    (get(b"Expect: 100-continue, x"), 417, "Header"),
    (get(b"Expect:"), 417, "Header"),
    *(
        (get(b"Connection: close, " + name), 400, "Header")
        for name in (b"Host", b"content-LENGTH", b"Transfer-Encoding", b"Trailer", b"Expect")
    ),
    (get(b"Connection: close;a"), 400, "Header"),
    (get(b"Connection: a b"), 400, "Header"),
]

CHUNKED = b"Transfer-Encoding: chunked"
FRAMING: list[Case] = [
    (get(b"Content-Length: 3", CHUNKED) + b"0\r\n\r\n", 400, "Header"),
    (get(CHUNKED, b"Content-Length: 3") + b"0\r\n\r\n", 400, "Header"),
    (get(b"Content-Length: 0", CHUNKED) + b"0\r\n\r\n", 400, "Header"),
    (get(CHUNKED, CHUNKED) + b"0\r\n\r\n", 400, "Header"),
    (get(CHUNKED, b"Transfer-Encoding: identity"), 400, "Header"),
    (get(b"Transfer-Encoding: identity", CHUNKED), 400, "Header"),
    (get(CHUNKED, b"transfer-encoding: xchunked"), 400, "Header"),
    *(
        (get(b"Transfer-Encoding:" + value), 400, "Header")
        for value in (
            b"",
            b" gzip",
            b" gzip, chunked",
            b" chunked, gzip",
            b" chunked, identity",
            b" chunked, chunked",
            b" chunked,",
            b" ,chunked",
            b" chunked;q=1",
            b" xchunked",
            b' "chunked"',
            b" identity",
            b"\x0bchunked",
            b" \x0cchunked",
            b" chunked\x7f",
            b" chunked\x00",
            b" chunked\xa0",
            b" ch\xffunked",
        )
    ),
    (get(b"Transfer-Encoding : chunked"), 400, "Header"),
    (get(b"Transfer-Encoding\t: chunked"), 400, "Header"),
    (get(b"Transfer-Encoding:", b" chunked"), 400, "Header"),
    (get(b"X: a\rTransfer-Encoding: chunked"), 400, "Invalid_CR/LF"),
    (get(b"X: a\nTransfer-Encoding: chunked"), 400, "Invalid_CR/LF"),
    (get(CHUNKED, start=b"POST / HTTP/1.0"), 400, "Header"),
    (get(b"Content-Length: 5", b"Content-Length: 5"), 400, "Header"),
    (get(b"Content-Length: 5", b"content-length: 6"), 400, "Header"),
    *(
        (get(b"Content-Length:" + value), 400, "Number")
        for value in (
            b"",
            b" ",
            b" +5",
            b" -5",
            b" 5, 5",
            b" 5,5",
            b" 5 5",
            b" 0x5",
            b" 5_0",
            b" 5.0",
            b" 5e1",
            b' "5"',
            b" \xb2",
            b" \xd9\xa3",
            b" 9223372036854775808",
            b" 18446744073709551616",
            b" 00000000000000000005",
        )
    ),
    (get(b"Content-Length: \x0b5"), 400, "Header"),
    (get(b"Content-Length : 5"), 400, "Header"),
]

BODY: list[Case] = [
    *(
        (get(CHUNKED) + body, 400, "BadRequest")
        for body in (
            b"x",
            b"\r\n",
            b"\n",
            b" 5\r\nhello\r\n0\r\n\r\n",
            b"+5\r\nhello\r\n0\r\n\r\n",
            b"-1\r\nhello\r\n0\r\n\r\n",
            b"0x5\r\nhello\r\n0\r\n\r\n",
            b"5_0\r\nhello\r\n0\r\n\r\n",
            b"5 \r\nhello\r\n0\r\n\r\n",
            b"5\t\r\nhello\r\n0\r\n\r\n",
            b"5 ;a\r\nhello\r\n0\r\n\r\n",
            b"5\nhello\r\n0\r\n\r\n",
            b"5;\nhello\r\n0\r\n\r\n",
            b"5;\r\nhello\r\n0\r\n\r\n",
            b"5;a\nhello\r\n0\r\n\r\n",
            b"5;a=\r\nhello\r\n0\r\n\r\n",
            b"5;a \r\nhello\r\n0\r\n\r\n",
            b'5;a="\r\nhello\r\n0\r\n\r\n',
            b'5;a="\\\r\nhello\r\n0\r\n\r\n',
            b"5;a\0\r\nhello\r\n0\r\n\r\n",
            b"5;a\rb\r\nhello\r\n0\r\n\r\n",
            b"5\r\r\nhello\r\n0\r\n\r\n",
            b"5\rhello\r\n0\r\n\r\n",
            b"5;" + b"a" * 255 + b"\r\nhello\r\n0\r\n\r\n",
            b"00000000000000005\r\nhello\r\n0\r\n\r\n",
            b"FFFFFFFFFFFFFFFF\r\n",
            b"8000000000000000\r\n",
            b"5\r\nhello\r\n7fffffffffffffff\r\n",
            b"5\r\nhello0\r\n\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"5\r\nhello\r0\r\n\r\n",
            b"5\r\nhello!\r\n0\r\n\r\n",
            b"5\r\nhell\r\n0\r\n\r\n",
            b"00x\r\n\r\n",
        )
    ),
    *(
        (get(CHUNKED) + b"0\r\n" + trailers, 400, reason)
        for trailers, reason in (
            (b"\n", "Invalid_CR/LF"),
            (b"\rX", "Invalid_CR/LF"),
            (b"X: a\n\n", "Invalid_CR/LF"),
            (b"X: a\nY: b\r\n\r\n", "Invalid_CR/LF"),
            (b"X: a\r\n folded\r\n\r\n", "Header"),
            (b" X: a\r\n\r\n", "Header"),
            (b"X : a\r\n\r\n", "Header"),
            (b"X\r\n\r\n", "Header"),
            (b"X: \x01\r\n\r\n", "Header"),
            *(
                (name + b": 1\r\n\r\n", "Header")
                for name in (
                    b"Content-Length",
                    b"content_length",
                    b"Transfer-Encoding",
                    b"Host",
                    b"Connection",
                    b"TE",
                    b"Trailer",
                    b"Authorization",
                    b"Cookie",
                    b"Set-Cookie",
                    b"Content-Type",
                    b"X-Forwarded-For",
                    b"X-Forwarded-Anything",
                    b"x_real_ip",
                    b"Forwarded",
                    b"Via",
                )
            ),
        )
    ),
]

TABLES = {
    "line": LINE,
    "target": TARGET,
    "host": HOST,
    "field": FIELD,
    "framing": FRAMING,
    "body": BODY,
}
CASES = [
    pytest.param(*case, id=f"{group}-{number}-{case[0][:60]!r}")
    for group, table in TABLES.items()
    for number, case in enumerate(table)
]


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize(("stream", "status", "reason"), CASES)
def test_refused_whole(codec: Codec, stream: bytes, status: int, reason: str) -> None:
    with pytest.raises(HttpError) as caught:
        read_requests(codec, [stream])
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert caught.value.detail.endswith(".")


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize(("stream", "status", "reason"), CASES)
def test_refused_byte_by_byte(codec: Codec, stream: bytes, status: int, reason: str) -> None:
    """The verdict is the same; a reason may be found earlier, on fewer bytes."""
    with pytest.raises(HttpError) as caught:
        read_requests(codec, pieces(stream, 1))
    assert caught.value.status == status or caught.value.reason == "Invalid_CR/LF"


SMALL = Limits(max_field_length=64, max_request_bytes=256, max_fields=4, max_trailer_bytes=32)


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (get(b"X: " + b"a" * 64), "FieldLength"),
        (get(b"X" * 60 + b": aaaaa"), "FieldLength"),
        (get(b"X: a", b"X: a", b"X: a", b"X: a"), "Header"),
        (get(b"X: " + b"a" * 300), "RequestLength"),
        (b"GET /" + b"a" * 300, "RequestLength"),
        (get(CHUNKED) + b"0\r\nX: " + b"a" * 40 + b"\r\n\r\n", "BadRequest"),
        (get(CHUNKED) + b"0\r\nX: " + b"a" * 40, "BadRequest"),
    ],
)
def test_limits(codec: Codec, size: int, stream: bytes, reason: str) -> None:
    with pytest.raises(HttpError) as caught:
        read_requests(codec, pieces(stream, size), SMALL)
    assert (caught.value.status, caught.value.reason) == (400, reason)


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_a_head_at_its_limit_passes(codec: Codec) -> None:
    limits = Limits(max_field_length=50, max_request_bytes=len(get(b"X: " + b"a" * 49)))
    assert read_requests(codec, [get(b"X: " + b"a" * 49)], limits)
    with pytest.raises(HttpError):
        read_requests(codec, [get(b"X: " + b"a" * 50)], limits)


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_parse_request_checks_the_limit_itself(codec: Codec) -> None:
    with pytest.raises(HttpError) as caught:
        codec.parse_request(get(b"X: " + b"a" * 300), SMALL)
    assert caught.value.reason == "RequestLength"
    for head in (b"", b"\r\n", b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n", get() + get()):
        with pytest.raises(HttpError):
            codec.parse_request(head, Limits())


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_too_many_empty_lines(codec: Codec) -> None:
    with pytest.raises(HttpError):
        read_requests(codec, [b"\r\n" * 5 + get()])
