"""Mutated DER of certificates, keys, PKCS #12 and CRLs, and everything here that reads them.

Each reader either takes what it gets or raises ConfigError; nothing else may come out.
"""

from __future__ import annotations

import base64
import random
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)

from kssl.config.credentials import Credentials, pem_credentials
from kssl.config.errors import ConfigError
from kssl.config.pemfile import SourceFile
from kssl.config.store.pkcs12 import pkcs12_credentials
from kssl.config.store.report import key_type, names, subject
from kssl.fastpath.verifier.rules.crl import Crl
from kssl.fastpath.verifier.rules.judge import judge
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.trust import load_certificates
from kssl.fastpath.worker.contexts import certificate_context
from tests.config import oddities
from tests.config.oddities import ODD
from tests.fastpath.verifier.rules import pki

NOW = datetime(2026, 6, 1, tzinfo=UTC)

ROOT = pki.self_signed("CN=Root")
LEAF = ROOT.issue("CN=alice", (pki.CLIENT, False))
RSA = pki.rsa_key(2048)
POLICY = Policy.prepare([ROOT.certificate], [])

_PEM = (ODD / "pss.pem").read_bytes()
_PSS = x509.load_pem_x509_certificate(_PEM).public_bytes(Encoding.DER)
_PSS_KEY = base64.b64decode(b"".join((ODD / "pss.key").read_bytes().split(b"\n")[1:-2]))

CERTIFICATES = [
    oddities.made(),
    oddities.with_x400_address(),
    ROOT.der,
    LEAF.der,
    _PSS,
    oddities.made(ed25519.Ed25519PrivateKey.generate()),
]
KEYS = [
    key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    for key in (oddities.KEY, RSA, ed25519.Ed25519PrivateKey.generate(),
                ed448.Ed448PrivateKey.generate())
] + [_PSS_KEY]  # fmt: skip
PFX = [
    pkcs12.serialize_key_and_certificates(
        b"app", oddities.KEY, x509.load_der_x509_certificate(oddities.made()),
        [ROOT.certificate], NoEncryption(),
    )
]  # fmt: skip
CRLS = [ROOT.crl(), ROOT.crl(LEAF.certificate)]


def mutated(der: bytes, chance: random.Random) -> bytes:
    """Return ``der`` with one to four changes, most of them in tags, lengths and small values."""
    data = bytearray(der)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data))
        match chance.randrange(8):
            case 0:
                data[at] ^= 1 << chance.randrange(8)
            case 1:
                data[at] = chance.choice(
                    b"\x00\x01\x02\x03\x05\x06\x0c\x13\x17\x18\x30\x7f\x80\xff"
                )
            case 2:
                data[at] = (data[at] + chance.choice((-1, 1))) % 256
            case 3:
                del data[at : at + chance.randint(1, 8)]
            case 4:
                data[at:at] = chance.randbytes(chance.randint(1, 8))
            case 5:
                other = chance.randrange(len(data))
                data[at : at + 6] = data[other : other + 6]
            case 6:
                data[at : at + 4] = chance.randbytes(4)
            case _:
                if chance.randrange(10) == 0:
                    del data[at:]
        if not data:
            return b"0"
    return bytes(data)


def _pem(label: str, der: bytes) -> bytes:
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{text}-----END {label}-----\n".encode()


def _shown(found: Credentials) -> None:
    for each in found.chain:
        subject(each), names(each), key_type(each)
    certificate_context(found, "")


class Readers:
    """What reads each kind of bytes. ``folder``: for those that read files."""

    def __init__(self, folder: Path) -> None:
        self._ca = folder / "ca.der"
        self._key = SourceFile(Path("app.key"), 0o600, _pem("PRIVATE KEY", KEYS[0]))
        self._chain = SourceFile(Path("app.pem"), 0o600, _pem("CERTIFICATE", CERTIFICATES[0]))
        self._pss_key = SourceFile(Path("app.key"), 0o600, _pem("PRIVATE KEY", _PSS_KEY))

    def served(self, der: bytes) -> None:
        """As the certificate of a site, with each of two keys."""
        chain = SourceFile(Path("app.pem"), 0o600, _pem("CERTIFICATE", der))
        try:
            _shown(pem_credentials(chain, self._key, now=NOW))
        except ConfigError:
            _shown(pem_credentials(chain, self._pss_key, now=NOW))

    def key(self, der: bytes) -> None:
        source = SourceFile(Path("app.key"), 0o600, _pem("PRIVATE KEY", der))
        _shown(pem_credentials(self._chain, source, now=NOW))

    def pfx(self, der: bytes) -> None:
        _shown(pkcs12_credentials(SourceFile(Path("app.pfx"), 0o600, der), None, NOW))

    def trusted(self, der: bytes) -> None:
        """As a CA, and then as one that judges."""
        self._ca.write_bytes(der)
        found = load_certificates(self._ca, "client_ca")
        judge([LEAF.der], Policy.prepare(found, []), NOW)

    def presented(self, der: bytes) -> None:
        """As a client's certificate, and beside one."""
        if not judge([der, ROOT.der], POLICY, NOW).ok:
            raise ConfigError("refused")
        judge([LEAF.der, der], POLICY, NOW)

    def beside(self, der: bytes) -> None:
        if not judge([LEAF.der, der], POLICY, NOW).ok:
            raise ConfigError("refused")

    def crl(self, der: bytes) -> None:
        found = Crl.parse(der, "CRL 1")
        found.signed_by(ROOT.certificate)
        judge([LEAF.der], POLICY.extended(crls=[found]), NOW)


def run(folder: Path, count: int, seed: int) -> Counter[tuple[str, bool]]:
    """Feed ``count`` inputs; return how many each reader took (True) and refused."""
    chance = random.Random(seed)
    readers = Readers(folder)
    kinds: Sequence[tuple[Callable[[bytes], None], Sequence[bytes]]] = [
        (readers.served, CERTIFICATES), (readers.key, KEYS), (readers.pfx, PFX),
        (readers.trusted, CERTIFICATES), (readers.presented, CERTIFICATES),
        (readers.beside, CERTIFICATES), (readers.crl, CRLS),
    ]  # fmt: skip
    told: Counter[tuple[str, bool]] = Counter()
    for number in range(count):
        read, samples = kinds[number % len(kinds)]
        der = mutated(chance.choice(samples), chance)
        try:
            read(der)
        except ConfigError:
            told[read.__name__, False] += 1
        except BaseException as error:
            raise AssertionError(f"{read.__name__}: {error!r} for {der.hex()}") from error
        else:
            told[read.__name__, True] += 1
    return told
