"""The chunked coding: views, not copies; the same body however the bytes are cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kssl.proxy.http.chunked import MAX_CHUNK_LINE, ChunkedReader
from kssl.proxy.http.messages import HttpError, client_error
from tests.examples import examples
from tests.proxy.http.drive import read_body


def reader() -> ChunkedReader:
    return ChunkedReader(client_error, 1024, drop_forbidden_trailers=False)


def outcome(stream: bytes, cuts: list[int]) -> tuple[object, ...]:
    """Body, leftover and state, or only that it is refused."""
    subject = reader()
    body = b""
    consumed = 0
    edges = [0, *sorted({cut % (len(stream) + 1) for cut in cuts}), len(stream)]
    try:
        for start, stop in pairwise(edges):
            if subject.done:
                break
            got, taken = subject.feed(memoryview(stream[start:stop]))
            body += b"".join(got)
            consumed += taken
    except HttpError:
        return ("refused",)
    return body, consumed, subject.done, subject.trailers, subject.received


def test_pieces_are_views() -> None:
    data = memoryview(b"5\r\nhello\r\n3\r\nabc\r\n8\r\nhalf")
    got, consumed = reader().feed(data)
    assert [bytes(piece) for piece in got] == [b"hello", b"abc", b"half"]
    assert all(piece.obj is data.obj for piece in got)
    assert consumed == len(data)


def test_the_longest_chunk_line() -> None:
    extension = b"a" * (MAX_CHUNK_LINE - len(b"1;\r\n"))
    for size in (0, 1, 100):
        assert read_body(reader(), b"1;" + extension + b"\r\nx\r\n0\r\n\r\n", size)[0] == b"x"
        with pytest.raises(HttpError):
            read_body(reader(), b"1;a" + extension + b"\r\nx\r\n0\r\n\r\n", size)


def test_largest_size() -> None:
    subject = reader()
    got, consumed = subject.feed(memoryview(b"7fffffffffffffff\r\nx"))
    assert (b"".join(got), consumed, subject.done) == (b"x", 19, False)


CHUNKS = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=40),
        st.sampled_from([b"%x", b"%X", b"0%x", b"%x;a", b"%x;a=b", b'%x;a="b;\\"c"', b"%x; a = b"]),
    ),
    max_size=6,
)
TRAILERS = st.sampled_from(
    [b"", b"X: 1\r\n", b"X: 1\r\nY:\r\n", b"Content-Length: 1\r\n", b" X\r\n"]
)


@settings(max_examples=examples(300), deadline=None)
@given(CHUNKS, TRAILERS, st.binary(max_size=5), st.lists(st.integers(0, 10_000), max_size=12))
def test_any_cut_gives_the_same(
    chunks: list[tuple[bytes, bytes]], trailers: bytes, behind: bytes, cuts: list[int]
) -> None:
    stream = b"".join(line % len(data) + b"\r\n" + data + b"\r\n" for data, line in chunks)
    stream += b"0\r\n" + trailers + b"\r\n" + behind
    whole = outcome(stream, [])
    assert outcome(stream, cuts) == whole
    assert outcome(stream, list(range(len(stream)))) == whole
    if b"Content" not in trailers and b" X\r" not in trailers:
        body = b"".join(data for data, _ in chunks)
        assert whole[:3] == (body, len(stream) - len(behind), True)


@settings(max_examples=examples(500), deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                b"0",
                b"1",
                b"5",
                b"f",
                b"\r\n",
                b"\r",
                b"\n",
                b";",
                b"a",
                b"=",
                b'"',
                b" ",
                b"\0",
                b"X:",
            ]
        ),
        max_size=14,
    ).map(b"".join),
    st.lists(st.integers(0, 40), max_size=6),
)
def test_the_verdict_does_not_depend_on_the_cut(stream: bytes, cuts: list[int]) -> None:
    """Garbage may be refused on any byte, but nothing is both refused and finished."""
    whole = outcome(stream, [])
    cut = outcome(stream, cuts)
    assert cut == whole
