"""The fingerprints by which a certificate may come along.

A signature is not part of what is signed, and of an ECDSA signature (r, s) anybody can make a
second one, (r, n - s), which is as good. So a client can change the fingerprint of its own
certificate, and a rule that denies one has to know the other. RSA signatures have no such twin.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import SignatureAlgorithmOID

from kssl.config.der import encoded

# Which one it is, the issuer's key would tell.
_CURVES = (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1())
_ECDSA = (
    SignatureAlgorithmOID.ECDSA_WITH_SHA256,
    SignatureAlgorithmOID.ECDSA_WITH_SHA384,
    SignatureAlgorithmOID.ECDSA_WITH_SHA512,
)
_SEQUENCE, _BIT_STRING = 0x30, 0x03


@lru_cache(maxsize=16)
def fingerprints(certificate: x509.Certificate) -> frozenset[bytes]:
    """SHA-256 of the certificate, and of it with each other signature that is as good. Remembered,
    since a site may have a thousand rules."""
    der = certificate.public_bytes(Encoding.DER)
    found = {sha256(der).digest()}
    if certificate.signature_algorithm_oid in _ECDSA:
        found |= {sha256(twin).digest() for twin in _twins(der, certificate.signature)}
    return frozenset(found)


def sealed(certificate: x509.Certificate, der: bytes) -> bool:
    """Whether `der` ends with the signature in whole bytes: a BIT STRING has another encoding as
    soon as the last bit is zero, which parsers let pass."""
    return der.endswith(b"\0" + certificate.signature)


def _twins(der: bytes, signature: bytes) -> list[bytes]:
    try:
        r, s = decode_dss_signature(signature)
    except ValueError:
        return []
    start = 2 if der[1] < 0x80 else 2 + (der[1] & 0x7F)
    body = der[start : len(der) - len(encoded(_BIT_STRING, b"\0" + signature))]
    return [
        encoded(
            _SEQUENCE,
            body + encoded(_BIT_STRING, b"\0" + encode_dss_signature(r, curve.group_order - s)),
        )
        for curve in _CURVES
        if 0 < s < curve.group_order
    ]
