"""Few bytes that would take long: long names and many extensions, of strangers."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID, ObjectIdentifier

from kssl.fastpath.verifier.rules import presented
from kssl.fastpath.verifier.rules.bulk import bulk
from kssl.fastpath.verifier.rules.verdict import Outcome
from tests.fastpath.verifier.rules.pki import (
    CLIENT,
    Extension,
    Made,
    self_signed,
    sign,
    tower,
    usage,
    version_one,
)
from tests.fastpath.verifier.rules.support import LEAF, MIDDLE, ROOT, ask, untrusted, within

THEIRS = self_signed("CN=Theirs")
CA = (x509.BasicConstraints(True, None), True)

# Seconds of the processor. These took 1.6 s without limits, and take some 90 ms without the limits
# of `presented` alone.
SOON = 0.8


def long_name(attributes: int) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")] * attributes)


def mesh(size: int, attributes: int) -> list[Made]:
    """A client, and CAs of one name and key, each of which has issued all the others."""
    who = long_name(attributes)
    key = THEIRS.key
    leaf = sign(long_name(1), who, key.public_key(), key, [(CLIENT, False)])
    return [
        Made(leaf, key),
        *(Made(sign(who, who, key.public_key(), key, [CA]), key) for _ in range(size)),
    ]


def unknown(count: int) -> list[Extension]:
    return [
        (x509.UnrecognizedExtension(ObjectIdentifier(f"1.2.3.{number}"), b""), False)
        for number in range(count)
    ]


def test_counted() -> None:
    for made in (LEAF, MIDDLE, ROOT):
        certificate = made.certificate
        found = bulk(made.der)
        assert found.extensions == len(certificate.extensions)
        names = (certificate.issuer, certificate.subject)
        assert found.names == sum(len(each.public_bytes()) for each in names) - 2 * 2
    assert bulk(version_one(LEAF, MIDDLE)).extensions == 0
    rich = ROOT.issue("CN=a", (CLIENT, False), (usage("digital_signature"), True), *unknown(50))
    assert bulk(rich.der).extensions == 52


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x84", b"\x30\x80\0\0", b"\x30\x02\x30\0"])
def test_none(der: bytes) -> None:
    with pytest.raises(ValueError, match="certificate"):
        bulk(der)
    for end in range(1, len(LEAF.der), 7):
        with pytest.raises(ValueError):  # noqa: PT011
            bulk(LEAF.der[:end])


def test_long_names() -> None:
    given = mesh(5, 700)
    untrusted(within(SOON / 4, lambda: ask(*given)), "names", "more than 16 KiB")


def test_without_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk asks each certificate once for what takes time by its length."""
    monkeypatch.setattr(presented, "MAX_NAMES", 1 << 20)
    given = mesh(5, 700)
    untrusted(within(SOON, lambda: ask(*given)), "self-signed")


def test_many_extensions() -> None:
    below = THEIRS.issue("CN=a", (CLIENT, False), *unknown(600))
    untrusted(ask(below), "more than 512 extensions")


def test_what_is_real() -> None:
    """32 certificates with names of 200 bytes and ten extensions each."""
    levels = tower(ROOT, 10)
    key = THEIRS.key
    who = x509.Name([x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "A department " * 4)] * 3)
    more = [Made(sign(who, who, key.public_key(), key, [CA, *unknown(9)]), key) for _ in range(21)]
    leaf = levels[-1].issue("CN=alice", (CLIENT, False), *unknown(12))
    assert ask(leaf, *more, *levels).outcome is Outcome.OK
