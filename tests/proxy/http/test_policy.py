"""What a site wants of its responses: no Server of the app, one Strict-Transport-Security."""

from __future__ import annotations

import pytest

from kssl.config.model import Hsts
from kssl.proxy.http.codec import Codec, get_codec
from kssl.proxy.http.forward import build_client_response, client_framing
from kssl.proxy.http.memo import ResponseMemo
from kssl.proxy.http.messages import Limits, RequestHead
from kssl.proxy.http.policy import ResponsePolicy, own_fields, response_policy
from tests.proxy.http.drive import CODEC_IDS, CODECS

YEAR = Hsts(31536000)
HSTS = b"max-age=31536000"
FIELD = b"Strict-Transport-Security: " + HSTS + b"\r\n"
NO_SERVER = ResponsePolicy(True, None)
ONLY_HSTS = ResponsePolicy(False, HSTS)
BOTH = ResponsePolicy(True, HSTS)
POLICIES = [NO_SERVER, ONLY_HSTS, BOTH]

FIELDS = [
    b"Server: app/1.0",
    b"sErVeR: other",
    b"Strict-Transport-Security: max-age=1",
    b"STRICT-TRANSPORT-SECURITY: max-age=0",
]
# Similar names, and the names in values, are no business of ours.
INNOCENT = [b"X-Server: a", b"Server-Timing: b", b"X: Server: c", b"Set-Cookie: Server: d=e"]


def lines(text: bytes) -> list[bytes]:
    assert text.endswith(b"\r\n\r\n")
    return text[:-4].split(b"\r\n")


def request(method: bytes = b"GET", version: bytes = b"1.1") -> RequestHead:
    raw = b"%b / HTTP/%b\r\nHost: a\r\n\r\n" % (method, version)
    return get_codec("httptools").parse_request(raw, Limits())


def build(
    codec: Codec,
    fields: list[bytes],
    policy: ResponsePolicy | None,
    *,
    start: bytes = b"HTTP/1.1 200 OK",
    version: bytes = b"1.1",
) -> list[bytes]:
    raw = b"\r\n".join([start, *fields, b"Content-Length: 2"]) + b"\r\n\r\n"
    response = ResponseMemo().parse(raw, request(version=version), True, codec, Limits(), policy)
    return lines(response.text)


@pytest.mark.parametrize(
    ("disable", "hsts", "tls", "expected"),
    [
        (0, None, True, None),
        (1, None, True, None),
        (1, YEAR, False, None),
        (2, None, False, NO_SERVER),
        (2, YEAR, False, NO_SERVER),
        (0, YEAR, True, ONLY_HSTS),
        (2, YEAR, True, BOTH),
    ],
)
def test_which_policy(
    disable: int, hsts: Hsts | None, tls: bool, expected: ResponsePolicy | None
) -> None:
    assert response_policy(disable, hsts, tls=tls) == expected


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("extra", [[], [b"Via: 1.1 x"], [b"Connection: close"]], ids=str)
@pytest.mark.parametrize("policy", POLICIES, ids=["no server", "hsts", "both"])
@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_what_the_client_gets(
    codec: Codec, policy: ResponsePolicy, extra: list[bytes], version: bytes
) -> None:
    """On the fast way (a usual head to HTTP/1.1) and on the long one, the same."""
    plain = build(codec, INNOCENT + extra, None, version=version)
    got = build(codec, [*FIELDS, *INNOCENT, *extra], policy, version=version)
    expected = set(plain)
    if not policy.drop_server:
        expected |= set(FIELDS[:2])
    if policy.hsts:
        expected.add(FIELD[:-2])
    else:
        expected |= set(FIELDS[2:])
    assert set(got) == expected
    assert len(got) == len(expected)


@pytest.mark.parametrize("policy", [None, *POLICIES])
def test_both_ways_give_the_same_bytes(policy: ResponsePolicy | None) -> None:
    fields = [FIELDS[0], INNOCENT[0], FIELDS[2]]
    fast, slow = (build(codec, fields, policy) for codec in CODECS)
    assert sorted(fast) == sorted(slow)


def test_first_and_last_line_can_be_dropped() -> None:
    raw = b"HTTP/1.1 204 No Content\r\nServer: a\r\nX: y\r\nServer:\r\n\r\n"
    response = ResponseMemo().parse(
        raw, request(), True, get_codec("httptools"), Limits(), NO_SERVER
    )
    assert lines(response.text) == [b"HTTP/1.1 204 No Content", b"X: y", b"Via: 1.1 kssl"]


@pytest.mark.parametrize("codec", CODECS, ids=CODEC_IDS)
def test_not_on_interim_responses(codec: Codec) -> None:
    raw = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nServer: a\r\n\r\n"
    response = ResponseMemo().parse(raw, request(), True, codec, Limits(), BOTH)
    assert b"Strict-Transport-Security" not in response.text
    assert b"Server" not in response.text
    assert b"Link: </a>" in response.text


def test_not_on_a_switch_of_protocols() -> None:
    raw = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    head = CODECS[0].parse_response(raw, b"GET", upgrade_asked=b"websocket", limits=Limits())
    framing, _ = client_framing(head, b"1.1", b"GET")
    text = build_client_response(
        head, client_version=b"1.1", keep_alive=True, framing=framing, policy=BOTH
    )
    assert b"Strict-Transport-Security" not in text
    assert b"Upgrade: websocket" in text


def test_a_connection_that_serves_several_sites() -> None:
    """What one site's client got is not given to another's."""
    memo = ResponseMemo()
    raw = b"HTTP/1.1 200 OK\r\nServer: app\r\nContent-Length: 2\r\n\r\n"
    texts: dict[str, bytes] = {}
    twin = ResponsePolicy(True, b"max-age=5")
    for _ in range(2):
        for name, policy in (("none", None), ("both", BOTH), ("twin", twin), ("server", NO_SERVER)):
            text = memo.parse(raw, request(), True, get_codec("httptools"), Limits(), policy).text
            assert texts.setdefault(name, text) == text
    assert len(set(texts.values())) == 4
    remembered = memo.parse(raw, request(), True, get_codec("httptools"), Limits(), NO_SERVER)
    assert remembered is memo.parse(
        raw, request(), True, get_codec("httptools"), Limits(), NO_SERVER
    )


def test_fields_of_own_responses() -> None:
    server = (b"Server", b"kssl")
    hsts = (b"Strict-Transport-Security", HSTS)
    assert own_fields(None, True) == (server,)
    assert own_fields(None, False) == ()
    assert own_fields(NO_SERVER, False) == ()
    assert own_fields(ONLY_HSTS, True) == (server, hsts)
    assert own_fields(BOTH, False) == (hsts,)
