"""What a connection remembers must never change what a head means."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kssl.proxy.http.codec import Codec, get_codec
from kssl.proxy.http.forward import ClientInfo, build_upstream_request
from kssl.proxy.http.memo import MAX_REMEMBERED, RequestMemo, ResponseMemo
from kssl.proxy.http.messages import HttpError, Limits, RequestHead
from tests.examples import examples

CLIENT = ClientInfo("192.0.2.1", 1234)
LIMITS = Limits()
BLOCK = b"\r\nHost: a\r\nUser-Agent: test\r\nCookie: x=1\r\nConnection: keep-alive\r\n\r\n"


class Counting:
    """A codec that counts how often it is asked."""

    def __init__(self, name: str = "httptools") -> None:
        self.codec: Codec = get_codec(name)
        self.asked = 0

    def __getattr__(self, name: str) -> object:
        if name.startswith("parse_"):
            self.asked += 1
        return getattr(self.codec, name)


def request_memo(codec: Counting) -> RequestMemo:
    return RequestMemo(codec, LIMITS, CLIENT, b"localhost")  # type: ignore[arg-type]


def fresh(raw: bytes) -> tuple[RequestHead, bytes]:
    head = get_codec("httptools").parse_request(raw, LIMITS)
    return head, build_upstream_request(head, CLIENT, default_host=b"localhost")


def test_the_same_fields_below_another_request_line() -> None:
    codec = Counting()
    memo = request_memo(codec)
    for line in (b"GET / HTTP/1.1", b"GET /a?b=c HTTP/1.1", b"DELETE /x HTTP/1.1"):
        assert memo.parse(line + BLOCK) == fresh(line + BLOCK)
    assert codec.asked == 1


def test_other_fields_are_parsed_anew() -> None:
    codec = Counting()
    memo = request_memo(codec)
    memo.parse(b"GET / HTTP/1.1" + BLOCK)
    other = BLOCK.replace(b"x=1", b"x=2")
    assert memo.parse(b"GET / HTTP/1.1" + other) == fresh(b"GET / HTTP/1.1" + other)
    assert codec.asked == 2


@pytest.mark.parametrize(
    "line",
    [
        b"CONNECT /x HTTP/1.1",
        b"GET / HTTP/1.2",
        b"GET / HTTP/2.0",
        b"GET /a b HTTP/1.1",
        b"GET /a\x00 HTTP/1.1",
        b"GET /a\x0a HTTP/1.1",
        b"GET http://other/ HTTP/1.1",
        b"GET a HTTP/1.1",
        b"GET * HTTP/1.1",
        b"GET /#f HTTP/1.1",
        b"G\xc3T / HTTP/1.1",
        b" GET / HTTP/1.1",
        b"GET / HTTP/1.1 ",
        b"GET /",
        b"",
    ],
)
def test_a_bad_request_line_above_remembered_fields_is_refused(line: bytes) -> None:
    memo = request_memo(Counting())
    memo.parse(b"GET / HTTP/1.1" + BLOCK)
    with pytest.raises(HttpError):
        memo.parse(line + BLOCK)


@pytest.mark.parametrize(
    ("line", "block"),
    [
        (b"GET / HTTP/1.0", BLOCK),
        (b"GET http://a/ HTTP/1.1", BLOCK),
        (b"OPTIONS * HTTP/1.1", BLOCK),
        (b"POST / HTTP/1.1", b"\r\nHost: a\r\nContent-Length: 3\r\n\r\n"),
        (b"POST / HTTP/1.1", b"\r\nHost: a\r\nContent-Length: 0\r\n\r\n"),
        (b"POST / HTTP/1.1", b"\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"GET / HTTP/1.1", b"\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
        (
            b"POST / HTTP/1.1",
            b"\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
        ),
        (b"GET / HTTP/1.1", b"\r\nHost: a\r\nX: " + b"y" * MAX_REMEMBERED + b"\r\n\r\n"),
    ],
)
def test_what_is_not_remembered(line: bytes, block: bytes) -> None:
    codec = Counting()
    memo = request_memo(codec)
    for _ in range(2):
        assert memo.parse(line + block) == fresh(line + block)
    assert codec.asked == 2


def test_the_reference_codec_remembers_nothing() -> None:
    codec = Counting("h11")
    memo = request_memo(codec)
    for _ in range(2):
        memo.parse(b"GET / HTTP/1.1" + BLOCK)
    assert codec.asked == 2


_LINES = st.sampled_from(
    [b"GET / HTTP/1.1", b"HEAD /a HTTP/1.1", b"GET / HTTP/1.0", b"GET http://a/b HTTP/1.1",
     b"CONNECT a HTTP/1.1", b"GET /\xff HTTP/1.1", b"POST /p HTTP/1.1"]
)  # fmt: skip
_FIELDS = st.lists(
    st.sampled_from(
        [b"Host: a", b"Host: b", b"X: y", b"Via: 1.1 z", b"TE: trailers", b"Connection: close",
         b"Connection: x", b"Content-Length: 3", b"X-Forwarded-For: 1", b"Expect: 100-continue",
         b"Transfer-Encoding: chunked", b"Trailer: x", b"Upgrade: websocket", b"X : y"]
    ),
    max_size=5,
)  # fmt: skip


@given(st.lists(st.tuples(_LINES, _FIELDS), min_size=2, max_size=6))
@settings(max_examples=examples(300), deadline=None)
def test_any_sequence_of_heads_means_what_each_means_alone(
    heads: list[tuple[bytes, list[bytes]]],
) -> None:
    memo = RequestMemo(get_codec("httptools"), LIMITS, CLIENT, b"localhost")
    for line, fields in heads:
        raw = b"\r\n".join([line, *fields]) + b"\r\n\r\n"
        try:
            expected: object = fresh(raw)
        except HttpError as error:
            with pytest.raises(HttpError, match=str(error.status)):
                memo.parse(raw)
        else:
            assert memo.parse(raw) == expected


def test_responses_are_remembered_for_the_same_question_only() -> None:
    codec = Counting()
    memo = ResponseMemo()
    raw = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\nX: y\r\n\r\n"
    get, _ = fresh(b"GET / HTTP/1.1" + BLOCK)
    head, _ = fresh(b"HEAD / HTTP/1.1" + BLOCK)

    def ask(request: RequestHead, keep_alive: bool, text: bytes = raw) -> tuple[str, bytes]:
        response = memo.parse(text, request, keep_alive, codec, LIMITS)  # type: ignore[arg-type]
        return response.framing.name, response.text

    first = ask(get, True)
    assert first == ask(get, True)
    assert codec.asked == 1
    assert ask(head, True)[0] == "NONE"
    assert b"Connection: close" in ask(get, False)[1]
    assert ask(get, True, raw.replace(b"5", b"6"))[1] != first[1]
    assert codec.asked == 4
