"""The exchange without I/O: strict framing, limits, and nothing but failures out of nonsense."""

from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.verifier.fetch.errors import FetchFailure
from kssl.fastpath.verifier.fetch.exchange import Exchange, Moved, Reply
from kssl.fastpath.verifier.fetch.limits import Kind
from kssl.fastpath.verifier.fetch.url import parse
from tests.fastpath.verifier.fetch.server import moved, ok

LIMIT = 1000
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


def exchange(kind: Kind = Kind.CERTIFICATE, limit: int = LIMIT) -> Exchange:
    return Exchange(parse("http://ca.example:8080/a?b"), kind, limit)


def outcome(*pieces: bytes, end: bool = True, limit: int = LIMIT) -> Reply | Moved | None:
    """Of an answer in these pieces; `feed` is not called again after it has given something."""
    peer = exchange(limit=limit)
    for piece in [*pieces, b""] if end else pieces:
        found = peer.feed(piece)
        if found is not None:
            return found
    return None


def body(*pieces: bytes, end: bool = True) -> bytes:
    found = outcome(*pieces, end=end)
    assert isinstance(found, Reply)
    return found.body


def test_the_request() -> None:
    assert exchange().request == (
        b"GET /a?b HTTP/1.1\r\nHost: ca.example:8080\r\n"
        b"Accept: application/pkix-cert, application/pkcs7-mime, */*;q=0.5\r\n"
        b"Accept-Encoding: identity\r\nUser-Agent: kssl\r\nConnection: close\r\n\r\n"
    )
    assert b"application/pkix-crl" in exchange(Kind.CRL).request


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"abc"),
        ok(b"abc") + b"more, which nobody reads",
        HEAD + b"Content-Length: 3, 3\r\n\r\nabc",
        HEAD + b"Content-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc",
        CHUNKED + b"1\r\na\r\n2;x=y\r\nbc\r\n0\r\nTrailer: x\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4 + ok(b"abc"),
    ],
)
def test_whole_answers(answer: bytes) -> None:
    assert body(answer, end=False) == b"abc"
    assert body(*(answer[index : index + 1] for index in range(len(answer)))) == b"abc"


def test_until_the_end() -> None:
    """Without a length the connection's end is the end; `content` sees whether it is whole."""
    assert body(HEAD + b"\r\nabc") == b"abc"
    assert body(b"HTTP/1.0 200 OK\r\n\r\nabc") == b"abc"
    assert outcome(HEAD + b"\r\nabc", end=False) is None


def test_how_long_it_is_kept() -> None:
    found = outcome(ok(b"", "Cache-Control: public", "Cache-Control: max-age=700"))
    assert found == Reply(b"", 700)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects(status: int) -> None:
    assert outcome(moved("/x", status), end=False) == Moved("/x")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "not proper HTTP"),
        (b"\x16\x03\x01\x02\0" + bytes(100), "not proper HTTP"),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", "not proper HTTP"),
        (b"HTTP/1.1 200 OK\r\n", "not proper HTTP"),
        (b"HTTP/2.0 200 OK\r\n\r\n", "another version"),
        (b"HTTP/0.9 200 OK\r\n\r\n", "another version"),
        (HEAD + b"X: \0\r\n\r\n", "not proper HTTP"),
        (b"HTTP/1.1 101 Upgrade\r\n\r\n", "not proper HTTP"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 5, "more than 4 interim"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", "not proper HTTP|without an answer"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answers 404"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "answers 204"),
        (b"HTTP/1.1 206 Partial Content\r\n\r\n", "answers 206"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "answers 304"),
        (b"HTTP/1.1 300 Choices\r\nLocation: /x\r\n\r\n", "answers 300"),
        (b"HTTP/1.1 302 Found\r\n\r\n", "no single place"),
        (b"HTTP/1.1 302 Found\r\nLocation: /a\r\nLocation: /b\r\n\r\n", "no single place"),
        (HEAD + b"Content-Length: 4\r\n\r\nabc", "not proper HTTP"),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "not proper HTTP"),
        (HEAD + b"Content-Length: 3, 4\r\n\r\nabc", "not proper HTTP"),
        (HEAD + b"Content-Length: -3\r\n\r\nabc", "not proper HTTP"),
        (HEAD + b"Content-Length: +3\r\n\r\nabc", "not proper HTTP"),
        (HEAD + b"Content-Length: 0x3\r\n\r\nabc", "not proper HTTP"),
        (HEAD + b"Content-Length: " + b"9" * 6000 + b"\r\n\r\n", "not proper HTTP"),
        (HEAD + b"Content-Length: " + b"9" * 20 + b"\r\n\r\n", "larger than 1000"),
        (HEAD + b"Content-Length: 1001\r\n\r\n", "larger than 1000"),
        (HEAD + b"\r\n" + bytes(1001), "larger than 1000"),
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
         "two lengths"),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "chunks in HTTP/1.0"),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", "not proper HTTP"),
        (HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "not proper HTTP"),
        (HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n", "not proper HTTP"),
        (ok(gzip.compress(b"abc"), "Content-Encoding: gzip"), "packed"),
        (ok(b"abc", "Content-Encoding: identity", "Content-Encoding: br"), "packed"),
        (CHUNKED + b"3\r\nabc\r\n", "not proper HTTP"),
        (CHUNKED + b"x\r\n", "not proper HTTP"),
        (CHUNKED + b"-1\r\n", "not proper HTTP"),
        (CHUNKED + b"3\r\nabcd\r\n", "not proper HTTP"),
        (CHUNKED + b"3e9\r\n" + bytes(1001), "larger than 1000"),
        (CHUNKED + b"ffffffffffffffffffff\r\n" + bytes(1001), "larger than 1000"),
    ],
)  # fmt: skip
def test_refused(answer: bytes, why: str) -> None:
    with pytest.raises(FetchFailure, match=why) as info:
        outcome(answer)
    assert str(info.value).isprintable()
    with pytest.raises(FetchFailure):
        outcome(*(answer[index : index + 1] for index in range(len(answer))))


def consumed(begin: bytes, endless: bytes, limit: int = LIMIT) -> int:
    """Bytes that are taken of an answer that never ends, until it is refused."""
    peer = exchange(limit=limit)
    peer.feed(begin)
    for taken in range(0, 1 << 20, len(endless)):
        try:
            assert peer.feed(endless) is None
        except FetchFailure:
            return taken
    raise AssertionError("it is never refused")


@pytest.mark.parametrize(
    ("begin", "endless"),
    [
        (HEAD, b"X: y\r\n"),
        (HEAD + b"X: ", b"y" * 100),
        (b"HTTP/1.1 200 ", b"O" * 100),
        (b"H", b"T" * 100),
        (CHUNKED + b"1;", b"x" * 100),
        (CHUNKED + b"0\r\n", b"X: y\r\n"),
        (CHUNKED, b"0" * 100),
        (HEAD + b"\r\n", b"x" * 100),
    ],
)
def test_what_never_ends(begin: bytes, endless: bytes) -> None:
    assert consumed(begin, endless) <= 20 << 10


def test_small_pieces() -> None:
    """Each is work; packets and chunks of a hundred bytes are not."""
    head = HEAD + b"Content-Length: 60000\r\n\r\n"
    for size, fine in ((1, False), (20, False), (150, True)):
        pieces = [b"x" * size] * (60_000 // size)
        if fine:
            assert isinstance(outcome(head, *pieces, limit=60_000), Reply)
            continue
        with pytest.raises(FetchFailure, match="too many small pieces"):
            outcome(head, *pieces, limit=60_000)
    chunked = b"".join(b"%x\r\n%s\r\n" % (150, b"x" * 150) for _ in range(400)) + b"0\r\n\r\n"
    assert len(body_of(CHUNKED + chunked)) == 60_000
    with pytest.raises(FetchFailure, match="too many small pieces"):
        body_of(CHUNKED + b"1\r\nx\r\n" * 3000 + b"0\r\n\r\n")


def body_of(answer: bytes) -> bytes:
    """Of one that comes in packets of a usual size."""
    found = outcome(*(answer[at : at + 1400] for at in range(0, len(answer), 1400)), limit=60_000)
    assert isinstance(found, Reply)
    return found.body


def test_chunks_of_one_byte() -> None:
    """Six bytes on the wire for one of the body: there is a limit for both."""
    assert consumed(CHUNKED, b"1\r\nx\r\n" * 10, limit=1000) <= 6 * 1000
    assert consumed(CHUNKED, b"1\r\nx\r\n" * 10, limit=60_000) <= 2 * 60_000 + (64 << 10)


@given(st.binary(max_size=200), st.sampled_from([b"", HEAD, CHUNKED, HEAD + b"\r\n"]))
def test_nonsense(data: bytes, begin: bytes) -> None:
    said = ""
    try:
        outcome(begin + data)
    except FetchFailure as failure:
        said = str(failure)
    assert said.isprintable()


@given(st.binary(max_size=300), st.lists(st.integers(1, 40), min_size=1), st.booleans())
def test_in_any_pieces(content: bytes, sizes: list[int], chunked: bool) -> None:
    answer = ok(content)
    if chunked:
        answer = CHUNKED
        chunks = content
        while chunks:
            size = sizes[len(chunks) % len(sizes)]
            chunk, chunks = chunks[:size], chunks[size:]
            answer += b"%x\r\n%s\r\n" % (len(chunk), chunk)
        answer += b"0\r\n\r\n"
    pieces = []
    for index in range(400):
        size = sizes[index % len(sizes)]
        pieces.append(answer[:size])
        answer = answer[size:]
    pieces.append(answer)
    assert body(*filter(None, pieces), end=False) == content
