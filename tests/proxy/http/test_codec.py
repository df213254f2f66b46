"""find_head_end, skip_empty_lines and get_codec."""

from __future__ import annotations

import pytest

from kssl.proxy.http.codec import find_head_end, get_codec, skip_empty_lines
from kssl.proxy.http.messages import HttpError


def test_get_codec() -> None:
    assert [get_codec(name).name for name in ("auto", "httptools", "h11")] == [
        "httptools",
        "httptools",
        "h11",
    ]
    with pytest.raises(ValueError, match="no HTTP codec 'h3'"):
        get_codec("h3")


@pytest.mark.parametrize(
    ("buffer", "expected"),
    [
        (b"", 0),
        (b"\r", 0),
        (b"\r\n", 2),
        (b"\r\nGET", 2),
        (b"\r\n\r\nGET", 4),
        (b"\n\r\n", 0),
        (b"\r\n" * 20, 8),
        (b"GET\r\n", 0),
    ],
)
def test_skip_empty_lines(buffer: bytes, expected: int) -> None:
    assert skip_empty_lines(buffer) == expected
    assert skip_empty_lines(bytearray(buffer)) == expected


@pytest.mark.parametrize("make", [bytes, bytearray])
def test_head_end_at_every_cut(make: type[bytes | bytearray]) -> None:
    stream = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    rest = b"body\0\n\r\n\r\n"
    for cut in range(len(stream)):
        assert find_head_end(make(stream[:cut]), 0, 100) == -1
        for start in range(cut + 1):
            assert find_head_end(make(stream[:cut]), start, 100) == -1
        assert find_head_end(make(stream + rest), cut, 100) == len(stream)


@pytest.mark.parametrize("bad", [b"\n", b"a\nb", b"\r\r", b"a\rb", b"\0", b"\r\n\n"])
@pytest.mark.parametrize("before", [b"", b"GET / HTTP/1.1\r\nHost: a"])
def test_a_broken_line_is_refused_at_once(before: bytes, bad: bytes) -> None:
    with pytest.raises(HttpError) as caught:
        find_head_end(before + bad, 0, 100)
    assert (caught.value.status, caught.value.reason) == (400, "Invalid_CR/LF")
    buffer = bytearray()
    scanned = 0
    with pytest.raises(HttpError):  # noqa: PT012 (which byte raises is the point)
        for code in before + bad:
            buffer.append(code)
            assert find_head_end(buffer, scanned, 100) == -1
            scanned = len(buffer)


def test_limit() -> None:
    assert find_head_end(b"a" * 6 + b"\r\n\r\n", 0, 10) == 10
    for buffer in (b"a" * 7 + b"\r\n\r\n", b"a" * 10, b"a" * 11):
        with pytest.raises(HttpError) as caught:
            find_head_end(buffer, 0, 10)
        assert caught.value.reason == "RequestLength"
