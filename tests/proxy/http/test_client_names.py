"""No client speaks of certificates in the proxy's name: what the upstream gets, byte for byte."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from kssl.proxy.http.codec import Codec, get_codec
from kssl.proxy.http.forward import ClientInfo, build_upstream_request
from kssl.proxy.http.memo import RequestMemo
from kssl.proxy.http.messages import HttpError
from kssl.proxy.http.names import END_TO_END, forbidden_in_trailer, is_forged, special_lines
from tests.proxy.http.drive import CODEC_IDS, CODECS, LIMITS, read_body, read_requests

NAMES = [
    b"client-cert",
    b"client-cert-chain",
    b"x-client-cert",
    b"x-client-cert-verdict",
    b"x-client-cert-subject",
    b"x-client-cert-anything",
    b"x-client-certificate",
    b"x-ssl-client",
    b"x-ssl-client-cert",
    b"x-ssl-client-verify",
    b"x-ssl-client-s-dn",
    b"x-ssl-cert",
    b"ssl-client-cert",
    b"ssl-client-verify",
    b"x-forwarded-client-cert",
    b"x-arr-clientcert",
    b"x-client-verify",
    b"x-client-dn",
]
# All of RFC 9110 section 5.6.2 that is no letter, no digit and no hyphen.
MARKS = [bytes((mark,)) for mark in b"!#$%&'*+.^_`|~"]


def spellings(name: bytes) -> set[bytes]:
    """With each hyphen also as an underscore, and with each mark for all of them."""
    parts = name.split(b"-")
    mixed = {
        b"".join(piece for pair in zip(parts, (*seps, b""), strict=True) for piece in pair)
        for seps in product((b"-", b"_"), repeat=len(parts) - 1)
    }
    return mixed | {name.replace(b"-", mark) for mark in MARKS}


SPELLED = [each for name in NAMES for each in sorted(spellings(name))]
CASES: list[Callable[[bytes], bytes]] = [bytes.lower, bytes.upper, bytes.title]

# Heads of all ways through the codecs: planned (usual.py), field by field, HTTP/1.0, upgraded.
STARTS = {
    "planned": b"GET / HTTP/1.1\r\nHost: a\r\n",
    "with a body": b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n",
    "long way": b"GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 x\r\n",
    "old": b"GET / HTTP/1.0\r\nHost: a\r\n",
    "absolute": b"GET http://a/ HTTP/1.1\r\nHost: a\r\n",
    "upgrade": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n",
}
TRUE = ("Client-Cert", ":dHJ1ZQ==:")
CLIENT = ClientInfo("192.0.2.1", 1, certificate_fields=(TRUE,))


def sent(codec: Codec, raw: bytes) -> bytes:
    return build_upstream_request(codec.parse_request(raw, LIMITS), CLIENT)


@pytest.mark.parametrize("start", STARTS.values(), ids=STARTS)
@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_what_a_client_says_is_dropped(codec: Codec, start: bytes) -> None:
    """Between two other fields, so that it is seen that no more is lost than that line."""
    plain = sent(codec, start + b"A: b\r\nC: d\r\n\r\n")
    for name in SPELLED:
        for case in CASES:
            lines = b"A: b\r\n" + case(name) + b": forged\r\nC: d\r\n\r\n"
            assert sent(codec, start + lines) == plain, name


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_all_of_it_at_once(codec: Codec) -> None:
    start = STARTS["planned"]
    lines = b"".join(name + b":forged\r\n" for name in SPELLED[:150])
    received = sent(codec, start + lines + b"\r\n")
    assert b"forged" not in received
    assert received == sent(codec, start + b"\r\n")
    assert received.lower().count(b"client-cert") == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_what_a_connection_remembers_has_none_of_it(codec: Codec, name: bytes) -> None:
    memo = RequestMemo(codec, LIMITS, CLIENT, b"a")
    block = b"\r\nHost: a\r\n" + name + b": forged\r\n\r\n"
    for line in (b"GET / HTTP/1.1", b"GET / HTTP/1.1", b"GET /other HTTP/1.1"):
        _, received = memo.parse(line + block)
        assert b"forged" not in received
        assert received.count(b"\r\nClient-Cert: :dHJ1ZQ==:\r\n") == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_ours_cannot_be_nominated_away(codec: Codec, name: bytes) -> None:
    received = sent(codec, STARTS["planned"] + b"Connection: close, " + name + b"\r\n\r\n")
    assert b"\r\nClient-Cert: :dHJ1ZQ==:\r\n" in received


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_not_in_a_trailer_of_a_request(codec: Codec) -> None:
    start = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    [message] = read_requests(codec, [start + b"X-Checksum: 1\r\n\r\n"])
    assert message.trailers == [(b"x-checksum", b"X-Checksum", b"1")]
    for name in SPELLED:
        for case in CASES:
            with pytest.raises(HttpError, match="may not be a trailer field"):
                read_requests(codec, [start + case(name) + b": forged\r\n\r\n"])


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_not_in_a_trailer_of_a_response(codec: Codec) -> None:
    head = codec.parse_response(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET",
        upgrade_asked=None,
        limits=LIMITS,
    )
    reader = codec.response_body(head, LIMITS)
    assert reader is not None
    lines = b"".join(name + b": forged\r\n" for name in SPELLED[:150])
    read_body(reader, b"0\r\nX-Checksum: 1\r\n" + lines + b"\r\n")
    assert reader.trailers == [(b"x-checksum", b"X-Checksum", b"1")]


@pytest.mark.parametrize(
    "name",
    [b"x-client", b"x-client-id", b"x-client-version", b"x-ssl", b"client", b"cert",
     b"client-certainty", b"ssl", b"sec-ch-ua", b"x-client-dns"],
)  # fmt: skip
def test_others_pass(name: bytes) -> None:
    assert not is_forged(name)
    assert not forbidden_in_trailer(name)
    raw = STARTS["planned"] + name + b": hers\r\n\r\n"
    assert special_lines(raw.lower()) == [b"\nhost:"]
    assert b"\r\n" + name + b": hers\r\n" in sent(get_codec("auto"), raw)


def test_no_common_name_is_taken_for_one() -> None:
    assert not [name for name in END_TO_END if is_forged(name)]
