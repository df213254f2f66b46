"""A certificate and a CRL, both in DER; made once."""

from __future__ import annotations

import datetime
import functools

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

_NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Example CA")])
_BEGIN = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_END = _BEGIN + datetime.timedelta(days=3650)


@functools.cache
def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@functools.cache
def certificate() -> bytes:
    builder = x509.CertificateBuilder(_NAME, _NAME, _key().public_key(), 1, _BEGIN, _END)
    return builder.sign(_key(), hashes.SHA256()).public_bytes(Encoding.DER)


@functools.cache
def crl() -> bytes:
    builder = x509.CertificateRevocationListBuilder(_NAME, _BEGIN, _END)
    return builder.sign(_key(), hashes.SHA256()).public_bytes(Encoding.DER)
