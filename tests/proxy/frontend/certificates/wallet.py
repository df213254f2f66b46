"""What clients of the tests present, good and bad, in files as curl, openssl and Python want them.

    root ── between ── good, expired, revoked …        clients.pem has the root alone
         └─ level 0 ── … ── level 9 ── tower-10        ten CAs, as many as are allowed
                                    └─ level 10 ── tower-11

Each CA has a revocation list, so that all can be asked for. Dates are of today.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from tests.fastpath.verifier.rules.pki import (
    CLIENT,
    DAY,
    NOW,
    SERVER,
    Extension,
    Made,
    elements,
    self_signed,
    sequence,
)

_TODAY = datetime.now(UTC) - NOW  # from the PKI's own time on
_FIRST, _LAST = _TODAY - 10 * DAY, _TODAY + 100 * DAY
_FOR_CLIENTS = (CLIENT, False)
# In extensions that OpenSSL does not look at, so that clients send it and the worker takes it.
_PLACE = ExtensionOID.AUTHORITY_INFORMATION_ACCESS
_GARBAGE = x509.UnrecognizedExtension(_PLACE, b"\xff\x00 no DER")
_ISSUERS = x509.AuthorityInformationAccess(
    [
        x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS,
            x509.UniformResourceIdentifier("http://pki.example/ca.der"),
        )
    ]
)


@dataclass(frozen=True)
class Card:
    """`chain`: the client's own certificate and what it sends along, PEM; `leaf`: the first alone,
    and `others` the rest, None if there is none. `der`: of the first."""

    chain: Path
    leaf: Path
    others: Path | None
    key: Path
    der: bytes


class Wallet:
    """`ca`: for client_ca. `crls`: for client_crls. `cards`: by what they are called in
    `table.py`; nothing for "none"."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(0o700, exist_ok=True)
        root = _root("CN=Clients,O=Example")
        between = _issue(root, "CN=Between,O=Example", ca=True)
        levels = _dated_tower(root, 11)
        revoked = _leaf(between, "revoked")
        self._between = between
        self.ca = self._write("clients.pem", root.pem)
        self.crls = tuple(
            self._write(f"{number}.crl", _crl(each, revoked))
            for number, each in enumerate((root, between, *levels))
        )
        alone = self_signed("CN=Alone", _FOR_CLIENTS, ca=False, since=_FIRST, until=_LAST)
        other = _leaf(_root("CN=Clients,O=Other"), "other CA")
        yesterday, tomorrow = _TODAY - DAY, _TODAY + DAY
        self.cards = {
            "good": self._card("good", _leaf(between, "good"), between),
            "self-signed": self._card("self-signed", alone),
            "other CA": self._card("other-ca", other),
            "expired": self._card("expired", _leaf(between, "old", until=yesterday), between),
            "future": self._card("future", _leaf(between, "new", since=tomorrow), between),
            "wrong usage": self._card("usage", _issue(between, "CN=x", (SERVER, False)), between),
            "no intermediate": self._card("no-intermediate", _leaf(between, "lonely")),
            "revoked": self._card("revoked", revoked, between),
            "malformed": self._card(
                "malformed", _issue(between, "CN=m", _FOR_CLIENTS, (_GARBAGE, False)), between
            ),
            "twice an extension": self._card("twice", _twice(between), between),
            "tower of 10": self._card("tower-10", _leaf(levels[9], "deep"), *levels[9::-1]),
            "tower of 11": self._card("tower-11", _leaf(levels[10], "deeper"), *levels[10::-1]),
        }

    def revoke(self, name: str) -> None:
        """A card that `between` has issued, from now on; the list is the same file as before."""
        certificate = x509.load_der_x509_certificate(self.cards[name].der)
        made = Made(certificate, self._between.key)
        self._write(self.crls[1].name, _crl(self._between, made))

    def _card(self, name: str, own: Made, *others: Made) -> Card:
        assert isinstance(own.key, ec.EllipticCurvePrivateKey)
        key = own.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        above = b"".join(each.pem for each in others)
        return Card(
            chain=self._write(f"{name}-chain.pem", own.pem + above),
            leaf=self._write(f"{name}.pem", own.pem),
            others=self._write(f"{name}-others.pem", above) if above else None,
            key=self._write(f"{name}.key", key),
            der=own.der,
        )

    def _write(self, name: str, data: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(data)
        path.chmod(0o600)
        return path


def _root(subject: str) -> Made:
    return self_signed(subject, since=_FIRST, until=_LAST)


def _issue(issuer: Made, subject: str, *extensions: Extension, ca: bool = False) -> Made:
    return issuer.issue(subject, *extensions, ca=ca, since=_FIRST, until=_LAST)


def _leaf(
    issuer: Made, subject: str, *, since: timedelta = _FIRST, until: timedelta = _LAST
) -> Made:
    return issuer.issue(f"CN={subject},O=Example", _FOR_CLIENTS, since=since, until=until)


def _dated_tower(root: Made, levels: int) -> list[Made]:
    made: list[Made] = []
    for level in range(levels):
        made.append(_issue(made[-1] if made else root, f"CN=Level {level}", ca=True))
    return made


def _crl(issuer: Made, revoked: Made) -> bytes:
    ours = revoked.certificate.issuer == issuer.certificate.subject
    listed = (revoked.certificate,) if ours else ()
    return issuer.crl(*listed, since=_TODAY - DAY, until=_TODAY + DAY)


def _twice(issuer: Made) -> Made:
    """One with an extension twice, which no builder makes."""
    made = _issue(issuer, "CN=twice", _FOR_CLIENTS, (_ISSUERS, False))
    parts = elements(made.certificate.tbs_certificate_bytes)
    (listed,) = elements(parts[-1])
    extensions: Sequence[bytes] = elements(listed)
    parts[-1] = sequence(sequence(*extensions, extensions[-1]), tag=0xA3)
    tbs = sequence(*parts)
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    signature = issuer.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    whole = sequence(tbs, parts[2], sequence(b"\0" + signature, tag=0x03))
    return Made(x509.load_der_x509_certificate(whole), made.key)
