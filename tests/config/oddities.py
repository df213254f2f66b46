"""Certificates of shapes that no library makes, for the tests of whatever reads certificates.

The files in ``odd`` protect nothing.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtensionOID, NameOID

from kssl.config.der import encoded

ODD = Path(__file__).parent / "odd"
KEY = ec.generate_private_key(ec.SECP256R1())
START, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)

_VERSION_3 = bytes.fromhex("a003020102")
# [3] x400Address with an empty ORAddress, then dNSName and iPAddress.
_X400 = bytes.fromhex("a3023000") + b"\x82\x09localhost" + b"\x87\x04\x7f\x00\x00\x01"


def pem(der: bytes) -> bytes:
    """Return a certificate in PEM."""
    text = base64.encodebytes(der)
    return b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n"


def key_pem(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey,
) -> bytes:
    """Return a key in PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def made(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey = KEY,
    *,
    subject: str = "odd",
    names: bytes = b"\x82\x09localhost",
    ca: bool = False,
) -> bytes:
    """Return the DER of a self-signed certificate; ``names``: of its subjectAltName, in DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(4711)
        .not_valid_before(START)
        .not_valid_after(END)
        .add_extension(
            x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, encoded(0x30, names)),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    algorithm = SHA256() if isinstance(key, ec.EllipticCurvePrivateKey) else None
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def with_version(field: int, *, ca: bool = False) -> bytes:
    """Return one whose X.509 version field is ``field``; its signature is wrong by that."""
    return made(ca=ca).replace(_VERSION_3, _VERSION_3[:-1] + bytes((field,)), 1)


def with_latin_1(*, ca: bool = False) -> bytes:
    """Return one with a UTF8String in its names that is no UTF-8."""
    return made(subject="Müller", ca=ca).replace("ü".encode(), b"\xfc\xfc")


def with_x400_address(*, ca: bool = False) -> bytes:
    """Return one with an x400Address beside localhost and 127.0.0.1."""
    return made(names=_X400, ca=ca)


def with_doubled_extension() -> bytes:
    """Return one with two subjectAltName."""
    basic, alternative = bytes.fromhex("0603551d13"), bytes.fromhex("0603551d11")
    return made().replace(basic, alternative)


def year_zero() -> bytes:
    """Return one that is valid from a year that Python does not have."""
    return made().replace(b"\x17\r200101000000Z", b"\x18\r0000010100Z00", 1)
