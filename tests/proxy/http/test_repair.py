"""What is put right in a response, and only there; what clients then get of it."""

from __future__ import annotations

import pytest

from kssl.proxy.http.codec import Codec
from kssl.proxy.http.forward import build_client_response
from kssl.proxy.http.messages import Framing, HttpError, Limits, UpstreamError
from kssl.proxy.http.repair import repair_response
from tests.proxy.http.drive import CODEC_IDS, CODECS, LIMITS, read_requests
from tests.proxy.http.test_response_rules import CHUNKED, parse, response

codecs = pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)


def sent_on(codec: Codec, *lines: bytes) -> list[bytes]:
    """The fields that a client gets of a response with these."""
    head = parse(codec, response(*lines))
    text = build_client_response(head, client_version=b"1.1", keep_alive=True, framing=head.framing)
    return text.split(b"\r\n")[1:-2]


@codecs
@pytest.mark.parametrize("space", [b" ", b"\t", b" \t "])
def test_white_space_before_a_colon_is_removed(codec: Codec, space: bytes) -> None:
    fields = sent_on(codec, b"X-A%b: b" % space, b"Content-Length%b: 3" % space, b"Y: a : b")
    assert fields[:3] == [b"X-A: b", b"Content-Length: 3", b"Y: a : b"]


@codecs
def test_framing_counts_without_the_space(codec: Codec) -> None:
    assert parse(codec, response(b"Transfer-Encoding : chunked")).framing is Framing.CHUNKED
    with pytest.raises(UpstreamError, match="both"):
        parse(codec, response(b"Content-Length : 5", CHUNKED))


@codecs
@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5", b"content-length: 5"),
        (b"Content-Length: 5, 5",),
        (b"Content-Length: 5,5", b"Content-Length : 5", b"Content-Length:5"),
    ],
)
def test_equal_lengths_are_one(codec: Codec, lines: tuple[bytes, ...]) -> None:
    head = parse(codec, response(b"A: b", *lines, b"C: d"))
    assert (head.framing, head.content_length) == (Framing.LENGTH, 5)
    assert sent_on(codec, b"A: b", *lines, b"C: d")[:3] == [b"A: b", b"Content-Length: 5", b"C: d"]


def test_a_good_head_stays_as_it_is() -> None:
    head = response(b"Content-Length: 5", b"X:  a : b ", b"Y:\tc", b": d", b" e: f")
    assert repair_response(head) == head


@codecs
@pytest.mark.parametrize(
    "line", [b"X : a", b"Content-Length: 0\r\nContent-Length: 0", b"Content-Length: 0, 0"]
)
def test_requests_are_never_repaired(codec: Codec, line: bytes) -> None:
    with pytest.raises(HttpError):
        read_requests(codec, [b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % line])


@codecs
@pytest.mark.parametrize("status", [600, 999])
def test_statuses_that_no_rfc_knows_pass(codec: Codec, status: int) -> None:
    start = b"HTTP/1.1 %d Request denied" % status
    head = parse(codec, response(b"Content-Length: 2", start=start))
    assert (head.status, head.framing) == (status, Framing.LENGTH)


@codecs
def test_a_field_may_be_as_long_as_the_head(codec: Codec) -> None:
    field = b"Content-Security-Policy: " + b"a" * 60_000
    assert sent_on(codec, field, b"Content-Length: 0")[0] == field
    with pytest.raises(UpstreamError, match="MaxResponseHeadBytes"):
        codec.parse_response(
            response(field), b"GET", upgrade_asked=None, limits=Limits(max_response_head=50_000)
        )


@codecs
def test_limits_of_a_request_are_named(codec: Codec) -> None:
    def refused(limits: Limits) -> str:
        head = b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 200 + b"\r\n\r\n"
        with pytest.raises(HttpError) as caught:
            read_requests(codec, [head], limits)
        return caught.value.detail

    assert "MaxFieldLength (100 bytes)" in refused(Limits(max_field_length=100))
    assert "MaxRequestBytes (150 bytes)" in refused(Limits(max_request_bytes=150))
    assert LIMITS.max_request_bytes == 16384
