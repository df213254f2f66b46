"""h11 is the oracle: what our fast path accepts, a bare h11 accepts with the same meaning.

And the two codecs agree on everything, so that `--http h11` changes the speed and nothing else.
"""

from __future__ import annotations

from contextlib import suppress

import h11
from hypothesis import given, settings
from hypothesis import strategies as st

from kssl.proxy.http.codec import get_codec
from kssl.proxy.http.messages import HttpError, RequestHead, UpstreamError
from tests.examples import examples
from tests.proxy.http.drive import CODECS, LIMITS, read_body, read_requests
from tests.proxy.http.test_request_accepted import ACCEPTED
from tests.proxy.http.test_request_refused import TABLES
from tests.proxy.http.test_response_rules import FRAMING, REFUSED

FAST = get_codec("httptools")

REQUESTS = [
    *(stream for stream, _, _ in ACCEPTED),
    *(stream for table in TABLES.values() for stream, _, _ in table),
]
RESPONSES = [*(head for head, *_ in FRAMING), *REFUSED]

CHUNKED_RESPONSE = FAST.parse_response(
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET",
    upgrade_asked=None,
    limits=LIMITS,
)

SPLICES = [
    b"\r\n", b"\r", b"\n", b"\0", b" ", b"\t", b":", b",", b";", b"\r\n ", b"\r\n\r\n", b"\x0b",
    b"0", b"5", b"-1", b"+", b"0x", b"_", b"\xff", b"\x7f", b"#", b"/", b"*", b"@", b"http://a",
    b"HTTP/1.0", b"HTTP/1.1", b"CONNECT", b"Host: b\r\n", b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: x\r\n", b"Connection: close\r\n",
    b"Connection: upgrade\r\nUpgrade: websocket\r\n", b"Expect: 100-continue\r\n", b"chunked",
    b"0\r\n\r\n", b"5\r\nhello\r\n", b"Content-Length\t", b"transfer_encoding: chunked\r\n",
]  # fmt: skip

EDITS = st.lists(
    st.tuples(st.integers(0, 400), st.integers(0, 6), st.sampled_from([b"", *SPLICES])), max_size=4
)


def edit(stream: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Replace `length` bytes at each position."""
    for position, length, splice in edits:
        position %= len(stream) + 1
        stream = stream[:position] + splice + stream[position + length :]
    return stream


def h11_requests(stream: bytes, count: int) -> list[tuple[object, ...]]:
    """The first `count` requests that an unhelped h11 sees. Raises RemoteProtocolError."""
    seen: list[tuple[object, ...]] = []
    while len(seen) < count:
        # h11 takes an empty line before a request for a request; the front end drops them.
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        connection.receive_data(stream.lstrip(b"\r\n"))
        request = connection.next_event()
        if not isinstance(request, h11.Request):
            return seen
        body = b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                return seen
            body += event.data
        # Transfer-Encoding is the one value that h11 changes the case of.
        fields = [(name.lower(), value.lower()) for name, value in request.headers.raw_items()]
        trailers = list(event.headers)
        seen.append((request.method, request.target, fields, body, trailers))
        stream = connection.trailing_data[0]
    return seen


def accepted(stream: bytes) -> list[tuple[object, ...]] | None:
    try:
        messages = read_requests(FAST, [stream])
    except HttpError:
        return None
    seen: list[tuple[object, ...]] = []
    for message in messages:
        head = message.head
        assert isinstance(head, RequestHead)
        fields = [(low, value.lower()) for low, _, value in head.fields]
        trailers = [(low, value) for low, _, value in message.trailers]
        seen.append((head.method, head.target, fields, message.body, trailers))
    return seen


@settings(max_examples=examples(1500), deadline=None)
@given(st.sampled_from(REQUESTS), EDITS)
def test_what_we_accept_h11_accepts(stream: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    stream = edit(stream, edits)
    ours = accepted(stream)
    if not ours:
        return
    theirs = h11_requests(stream, len(ours))
    for mine, other in zip(ours, theirs, strict=True):
        target = other[1]
        assert isinstance(target, bytes)
        if target.lower().startswith(b"http"):  # absolute-form, which we rewrite
            mine = (mine[0], target, *mine[2:])
        assert mine == other


@settings(max_examples=examples(1000), deadline=None)
@given(st.sampled_from(REQUESTS), EDITS)
def test_codecs_agree_on_requests(stream: bytes, edits: list[tuple[int, int, bytes]]) -> None:
    stream = edit(stream, edits)
    verdicts: list[object] = []
    for codec in CODECS:
        try:
            verdicts.append([(m.head, m.body, m.trailers) for m in read_requests(codec, [stream])])
        except HttpError as error:
            verdicts.append((error.status, error.reason, error.detail))
    assert verdicts[0] == verdicts[1]


@settings(max_examples=examples(1000), deadline=None)
@given(
    st.sampled_from(RESPONSES), EDITS, st.sampled_from([b"GET", b"HEAD"]), st.booleans(), st.data()
)
def test_codecs_agree_on_responses(
    head: bytes,
    edits: list[tuple[int, int, bytes]],
    method: bytes,
    asked: bool,
    data: st.DataObject,
) -> None:
    head = edit(head, edits)
    body = edit(b"5\r\nhello\r\n0\r\n\r\n", data.draw(EDITS))
    verdicts: list[object] = []
    for codec in CODECS:
        try:
            parsed = codec.parse_response(head, method, upgrade_asked=asked, limits=LIMITS)
            reader = codec.response_body(parsed, LIMITS)
            verdicts.append((parsed, read_body(reader, body)))
        except UpstreamError as error:
            verdicts.append(error.detail)
    assert verdicts[0] == verdicts[1]


@settings(max_examples=examples(300), deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_raise_only_our_errors(stream: bytes) -> None:
    for codec in CODECS:
        for prefix in (b"", b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"):
            for suffix in (b"", b"\r\n\r\n"):
                with suppress(HttpError):
                    read_requests(codec, [prefix + stream + suffix])
        with suppress(UpstreamError):
            codec.parse_response(stream, b"GET", upgrade_asked=None, limits=LIMITS)
        reader = codec.response_body(CHUNKED_RESPONSE, LIMITS)
        with suppress(UpstreamError):
            read_body(reader, stream)
