"""Hellos of another age, built by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.tls import legacy
from kssl.fastpath.tls.clienthello import ClientHelloReader
from tests.fastpath.tls.test_clienthello import hello, real_hello


def offers_rc2(client_hello_record: bytes) -> bool:
    """Whether an RC2 suite is in the ClientHello of this record (or these records)."""
    reader, at = ClientHelloReader(), 0
    while at < len(client_hello_record):
        end = at + 5 + int.from_bytes(client_hello_record[at + 3 : at + 5], "big")
        found = reader.add(client_hello_record[at:end])
        if found is not None:
            return legacy.includes_rc2(found.cipher_suites)
        at = end
    return False


def old_hello(version: int, *, kind: int = 1) -> bytes:
    """SSL 2.0's record and CLIENT-HELLO (RFC 6101 appendix E), or PCT 1.0's."""
    suites = b"\x07\x00\xc0\x03\x00\x80"  # three bytes each
    body = bytes([kind]) + version.to_bytes(2, "big")
    body += len(suites).to_bytes(2, "big") + b"\0\0" + (16).to_bytes(2, "big")
    body += suites + bytes(range(16))
    return (0x8000 | len(body)).to_bytes(2, "big") + body


OLD = [
    pytest.param(0x0002, "Ssl2_Hello", id="SSL 2.0"),
    pytest.param(0x8001, "Pct1_Hello", id="PCT 1.0"),
    pytest.param(0x0300, "Ssl2_Format_Hello", id="SSL 3.0"),
    pytest.param(0x0301, "Ssl2_Format_Hello", id="TLS 1.0"),
    pytest.param(0x0303, "Ssl2_Format_Hello", id="TLS 1.2"),
]


@pytest.mark.parametrize(("version", "word"), OLD)
def test_recognised_by_five_bytes(version: int, word: str) -> None:
    first = old_hello(version)
    for size in range(5):
        assert legacy.recognise(first[:size]) == legacy.NEED_MORE
    for size in (5, 6, len(first)):
        assert legacy.recognise(first[:size]) == word


@pytest.mark.parametrize(
    "first",
    [
        real_hello(b"app.example"),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        old_hello(0x0002, kind=4),
        old_hello(0x0001),
        old_hello(0x8002),
        old_hello(0x0203),
        b"\xff" * 100,
        bytes(100),
    ],
)
def test_not_one_of_them(first: bytes) -> None:
    assert legacy.recognise(first) is None


@pytest.mark.parametrize("first", [b"\x16", b"\x16\x03", b"G", b"\0", b"\x80\x2e\x04"])
def test_others_need_not_wait_for_five_bytes(first: bytes) -> None:
    assert legacy.recognise(first) is None


@given(st.binary(max_size=20))
def test_whatever_comes(data: bytes) -> None:
    """Never raises; and more bytes never change an answer that was final."""
    answers = [legacy.recognise(data[:size]) for size in range(len(data) + 1)]
    final = [answer for answer in answers if answer != legacy.NEED_MORE]
    assert len(set(final)) <= 1
    assert len(data) < legacy.ENOUGH or answers[-1] != legacy.NEED_MORE


@pytest.mark.parametrize("suite", [b"\x00\x06", b"\x00\x27", b"\x00\x2a", b"\x00\x61"])
@pytest.mark.parametrize("others", [b"", b"\xc0\x2b\x13\x01"])
def test_rc2_is_seen(suite: bytes, others: bytes) -> None:
    assert offers_rc2(hello(suites=others + suite))
    assert offers_rc2(hello(suites=suite + others))


def test_rc2_is_seen_across_records() -> None:
    message = hello(suites=b"\xc0\x2b\x00\x06")[5:]
    records = [b"\x16\x03\x01\x00\x01" + message[at : at + 1] for at in range(len(message))]
    assert offers_rc2(b"".join(records))


@pytest.mark.parametrize(
    "suites",
    [
        b"",
        b"\x13\x01\xc0\x2b",
        b"\x06\x00",
        b"\xc0\x00\x06\x13",  # 0x0006 only across two
        b"\x00",
    ],
)
def test_no_rc2(suites: bytes) -> None:
    assert not offers_rc2(hello(suites=suites))


def test_a_cut_hello_offers_nothing() -> None:
    record = hello(suites=b"\x00\x06")
    assert not any(offers_rc2(record[:size]) for size in range(len(record)))


@given(st.binary(max_size=300))
def test_nonsense_offers_something_or_nothing(data: bytes) -> None:
    assert offers_rc2(data) in (True, False)
