"""What the app is told of a client's certificate: RFC 9440, and names that strangers chose."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kssl.config.client_certificates import Headers
from kssl.fastpath.verifier.messages import NONE_PRESENTED, ClientVerdict
from kssl.fastpath.verifier.rules.verdict import Outcome
from kssl.proxy.http.client_cert import MAX_CERTIFICATES, MAX_VALUE, REASONS, certificate_fields
from kssl.proxy.http.codec import get_codec
from kssl.proxy.http.forward import ClientInfo, build_upstream_request
from kssl.proxy.http.names import is_forged
from kssl.proxy.journal.httperr import REASONS as WORDS
from tests.examples import examples
from tests.proxy.http.drive import LIMITS

LEAF = b"\x30\x03leaf"
GOOD = ClientVerdict(
    Outcome.OK,
    "the client's certificate 'CN=Ann' is trusted by 'CN=CA'",
    subject="CN=Ann,O=Example",
    issuer="CN=CA",
    serial="4f3a",
    sha256="ab" * 32,
    sans=("dns:a.example", "email:ann@example.org"),
    chain=(b"one", b"two!"),
)
BAD = replace(GOOD, outcome=Outcome.UNTRUSTED, reason="it is not trusted")
FAILURES = [each for each in Outcome if each is not Outcome.OK]


def told(verdict: ClientVerdict, leaf: bytes | None = LEAF) -> dict[str, str]:
    fields = certificate_fields(Headers.ALL, verdict, leaf)
    assert len(dict(fields)) == len(fields)
    return dict(fields)


def with_text(field: str, text: str) -> ClientVerdict:
    changed: dict[str, Any] = {field: text}
    return replace(GOOD, **changed)


def encoded(der: bytes) -> str:
    return f":{base64.b64encode(der).decode()}:"


def names_in(value: str) -> list[str]:
    """As the module tells apps to read X-Client-Cert-San."""
    return [unquote(item.strip()) for item in value.split(",")]


# -- which fields --------------------------------------------------------------------------


def test_nothing_is_told_if_it_is_turned_off() -> None:
    assert certificate_fields(Headers.OFF, GOOD, LEAF) == ()


def test_the_fields_of_rfc_9440() -> None:
    assert certificate_fields(Headers.RFC9440, GOOD, LEAF) == (
        ("X-Client-Cert-Verdict", "ok"),
        ("Client-Cert", encoded(LEAF)),
        ("Client-Cert-Chain", f"{encoded(b'one')}, {encoded(b'two!')}"),
    )


def test_a_client_cert_is_what_rfc_9651_calls_a_byte_sequence() -> None:
    leaf = bytes(range(256))
    value = dict(certificate_fields(Headers.RFC9440, GOOD, leaf))["Client-Cert"]
    match = re.fullmatch(r":([A-Za-z0-9+/]*={0,2}):", value)
    assert match is not None
    assert base64.b64decode(match[1], validate=True) == leaf


def test_no_chain_without_cas_between() -> None:
    fields = certificate_fields(Headers.RFC9440, replace(GOOD, chain=()), LEAF)
    assert [name for name, _ in fields] == ["X-Client-Cert-Verdict", "Client-Cert"]


@pytest.mark.parametrize("outcome", FAILURES)
def test_there_is_no_chain_above_a_bad_certificate(outcome: Outcome) -> None:
    fields = dict(certificate_fields(Headers.RFC9440, replace(GOOD, outcome=outcome), LEAF))
    if outcome is Outcome.NONE_PRESENTED:
        assert fields == {"X-Client-Cert-Verdict": "none"}
    else:
        assert fields == {
            "X-Client-Cert-Verdict": f"403.{int(outcome)}",
            "Client-Cert": encoded(LEAF),
        }


def test_without_a_certificate() -> None:
    assert certificate_fields(Headers.RFC9440, NONE_PRESENTED, None) == (
        ("X-Client-Cert-Verdict", "none"),
    )
    assert told(NONE_PRESENTED, None) == {
        "X-Client-Cert-Verdict": "none",
        "X-Client-Cert-Reason": "The client presented no certificate.",
    }
    assert "Client-Cert-Chain" not in told(GOOD, None)


def test_all_fields() -> None:
    fields = certificate_fields(Headers.ALL, BAD, LEAF)
    assert fields == (
        ("X-Client-Cert-Verdict", "403.16"),
        ("Client-Cert", encoded(LEAF)),
        ("X-Client-Cert-Subject", "CN=Ann,O=Example"),
        ("X-Client-Cert-Issuer", "CN=CA"),
        ("X-Client-Cert-San", "dns:a.example, email:ann@example.org"),
        ("X-Client-Cert-Serial", "4f3a"),
        ("X-Client-Cert-Fingerprint", "ab" * 32),
        ("X-Client-Cert-Reason", "it is not trusted"),
    )


def test_clients_cannot_speak_with_any_of_them() -> None:
    for name in told(GOOD):
        assert is_forged(name.lower().encode())


def test_each_failure_has_a_word() -> None:
    assert set(REASONS) == set(FAILURES)
    assert set(REASONS.values()) <= WORDS
    assert len(set(REASONS.values())) == len(REASONS)


# -- names are foreign text ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("CN=Ann Lee,O=Example", "CN=Ann Lee,O=Example"),
        ("CN=a\r\nX: b", "CN=a%0D%0AX: b"),
        ("CN=100%,O=%0A", "CN=100%25,O=%250A"),
        ("CN=Ä", "CN=%C3%84"),
        (" CN=a\\ ", "%20CN=a\\%20"),
        ("  ", "%20%20"),
        ("a\tb\x7f\0", "a%09b%7F%00"),
        ('"a"', '"a"'),
        ("a\ud800b", "a?b"),
    ],
)
def test_a_text(text: str, value: str) -> None:
    assert told(replace(GOOD, subject=text))["X-Client-Cert-Subject"] == value


def test_a_list_can_be_told_from_a_name_that_looks_like_one() -> None:
    forged = ("dns:a.example, dns:admin.example", 'uri:"a', 'uri:b"', "uri:c\\", " dns:d ", "%2C")
    value = told(replace(GOOD, sans=forged))["X-Client-Cert-San"]
    assert value == (
        "dns:a.example%2C dns:admin.example, uri:%22a, uri:b%22, uri:c%5C, %20dns:d%20, %252C"
    )
    assert names_in(value) == list(forged)


TEXTS = st.text(st.characters(), max_size=200) | st.text('\r\n ,:"%\\aÄ\ud800', max_size=30)
VERDICTS = st.builds(
    ClientVerdict,
    st.sampled_from(Outcome),
    TEXTS,
    st.just(()),
    TEXTS,
    TEXTS,
    TEXTS,
    TEXTS,
    st.lists(TEXTS, max_size=30).map(tuple),
    st.lists(st.binary(max_size=50), max_size=4).map(tuple),
)
LINE = re.compile(r"(?! )[ -~]+(?<! )")


@settings(max_examples=examples(300), deadline=None)
@given(VERDICTS, st.none() | st.binary(max_size=100), st.sampled_from(Headers))
def test_whatever_a_certificate_says_it_is_one_line_each_and_no_other_field(
    verdict: ClientVerdict, leaf: bytes | None, wanted: Headers
) -> None:
    fields = certificate_fields(wanted, verdict, leaf)
    for _, value in fields:
        assert LINE.fullmatch(value)
    client = ClientInfo("192.0.2.1", 1, certificate_fields=fields)
    head = get_codec("auto").parse_request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", LIMITS)
    plain = read(build_upstream_request(head, ClientInfo("192.0.2.1", 1)))
    received = read(build_upstream_request(head, client))
    ours = [(name.lower().encode(), value.encode()) for name, value in fields]
    assert [each for each in received if each not in plain] == ours
    assert len(received) == len(plain) + len(fields)


def read(sent: bytes) -> list[tuple[bytes, bytes]]:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(sent)
    request = connection.next_event()
    assert isinstance(request, h11.Request)
    assert connection.trailing_data == (b"", False)
    return list(request.headers)


@settings(max_examples=examples(300), deadline=None)
@given(VERDICTS)
def test_texts_can_be_read_back(verdict: ClientVerdict) -> None:
    fields = told(verdict, None)
    texts = {
        "Subject": verdict.subject,
        "Issuer": verdict.issuer,
        "Serial": verdict.serial,
        "Fingerprint": verdict.sha256,
        "Reason": verdict.reason,
    }
    for name, text in texts.items():
        assert unquote(fields.get(f"X-Client-Cert-{name}", "")) == whole(text)
    sans = list(map(whole, filter(None, verdict.sans)))
    value = fields.get("X-Client-Cert-San")
    read_back = names_in(value) if value is not None else []
    assert read_back == sans[: len(read_back)]
    longest = 12 * 200 + 2  # a name here, encoded, with its separator
    assert len(read_back) == len(sans) or len(value or "") > MAX_VALUE - longest


def whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


# -- sizes ---------------------------------------------------------------------------------


def test_a_list_of_names_is_cut_between_two_of_them() -> None:
    name = "dns:" + "a" * 95  # and a separator: 101
    value = told(replace(GOOD, sans=(name,) * 100))["X-Client-Cert-San"]
    assert value == ", ".join([name] * 40)
    assert len(value) + len(", " + name) > MAX_VALUE


@pytest.mark.parametrize("long", ["b" * 4097, "Ä" * 1000, "b" * (1 << 20)])
def test_a_list_ends_in_front_of_a_name_that_is_too_long(long: str) -> None:
    sans = ("dns:a", long, "dns:c")
    assert told(replace(GOOD, sans=sans))["X-Client-Cert-San"] == "dns:a"
    assert "X-Client-Cert-San" not in told(replace(GOOD, sans=sans[1:]))


@pytest.mark.parametrize("field", ["subject", "issuer", "serial", "sha256", "reason"])
def test_a_part_of_a_name_is_never_sent(field: str) -> None:
    fits = with_text(field, "a" * MAX_VALUE)
    assert len(told(fits)) == len(told(GOOD))
    for long in ("a" * (MAX_VALUE + 1), "Ä" * (MAX_VALUE // 6 + 1), " " * (MAX_VALUE // 3 + 1)):
        assert len(told(with_text(field, long))) == len(told(GOOD)) - 1


def test_large_certificates_are_left_out() -> None:
    """Whole characters of Base64, and two colons."""
    most = (MAX_CERTIFICATES - 2) // 4 * 3
    assert "Client-Cert" in told(BAD, b"a" * most)
    for size in (most + 1, 1 << 16):
        # No chain without the certificate below it.
        assert not {"Client-Cert", "Client-Cert-Chain"} & set(told(GOOD, b"a" * size))
    half = b"a" * (MAX_CERTIFICATES // 2)
    fields = told(replace(GOOD, chain=(half, half)))
    assert "Client-Cert" in fields
    assert "Client-Cert-Chain" not in fields
