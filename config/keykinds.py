"""Kinds of keys: which clients cannot use them, and how OpenSSL is given them.

A key of RSASSA-PSS (RFC 4055) is one of RSA whose AlgorithmIdentifier allows PSS alone.
cryptography reads it as RSA and forgets that, so whatever writes the key again takes it from the
certificate.
"""

from __future__ import annotations

import base64

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import PublicKeyAlgorithmOID

from kssl.config.der import elements, encoded
from kssl.config.errors import ConfigError
from kssl.config.foreign import UnreadableError, reading

PrivateKey = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

_SEQUENCE, _OCTETS, _VERSION = 0x30, 0x04, 0xA0
_VERSION_0 = b"\x02\x01\x00"  # of PKCS #8 (RFC 5958)
_SPKI = 5  # of TBSCertificate, behind the version

# RSASSA-PSS-params (RFC 4055 §3.1): what the key may sign with. TLS signs with a salt as long as
# the hash (RFC 9846 §4.3.3).
_PSS_HASH, _PSS_SALT = 0xA0, 0xA2
_DEFAULT_SALT = 20
_HASHES = {
    bytes.fromhex("608648016503040201"): 32,
    bytes.fromhex("608648016503040202"): 48,
    bytes.fromhex("608648016503040203"): 64,
}


def limits(leaf: x509.Certificate, key: PrivateKey) -> str:
    """Return which clients cannot use a server's certificate for its kind of key; "": all can."""
    if is_pss(leaf):
        return (
            "its key is one of RSASSA-PSS (RFC 4055), which browsers and programs in Go cannot "
            "use; OpenSSL 1.1.1 and later, GnuTLS and Java can"
        )
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return (
            "its key is one of Ed25519 (RFC 8410), which browsers do not take; OpenSSL 1.1.1 and "
            "later, GnuTLS, Go and Java do"
        )
    if isinstance(key, ed448.Ed448PrivateKey):
        return (
            "its key is one of Ed448 (RFC 8410), which browsers and programs in Go do not take; "
            "OpenSSL 1.1.1 and later, GnuTLS and Java do"
        )
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP521R1):
        return "its key is one of ECDSA P-521, which Chrome and Edge do not take; Firefox does"
    return ""


def is_pss(certificate: x509.Certificate) -> bool:
    """Return whether its key is one of RSASSA-PSS."""
    return certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS


def pkcs8(leaf: x509.Certificate, key: PrivateKey) -> bytes:
    """Return the key of ``leaf`` in DER, as the kind that the certificate says it is."""
    if not is_pss(leaf):
        return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    inner = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    return encoded(_SEQUENCE, _VERSION_0 + _algorithm(leaf) + encoded(_OCTETS, inner))


def pkcs8_pem(leaf: x509.Certificate, key: PrivateKey) -> bytes:
    """As `pkcs8`, in PEM (RFC 7468 §10)."""
    text = base64.b64encode(pkcs8(leaf, key))
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN PRIVATE KEY-----", *lines, b"-----END PRIVATE KEY-----", b""])


def check_pss(leaf: x509.Certificate, where: str) -> None:
    """Raise ConfigError, which begins with ``where``, for a key that may not sign what TLS signs.

    OpenSSL would take it, and refuse each handshake.
    """
    if not is_pss(leaf):
        return
    try:
        with reading("has an RSASSA-PSS key with parameters that cannot be read"):
            size, salt = _pss_parameters(_algorithm(leaf))
    except UnreadableError as error:
        raise ConfigError(f"{where}: the certificate {error}") from None
    if not size or salt > size:
        raise ConfigError(
            f"{where}: the certificate's RSASSA-PSS key may not sign as TLS does, with SHA-256, "
            "SHA-384 or SHA-512 and a salt as long as the hash (RFC 9846); make a key without "
            "parameters, or with these"
        )


def _algorithm(certificate: x509.Certificate) -> bytes:
    """Return the AlgorithmIdentifier of the certificate's key."""
    der = certificate.tbs_certificate_bytes
    _, start, end = next(elements(der, 0, len(der)))
    fields = [each for each in elements(der, start, end) if each[0] != _VERSION]
    _, start, end = fields[_SPKI]
    _, _, end = next(elements(der, start, end))
    return der[start:end]


def _pss_parameters(algorithm: bytes) -> tuple[int, int]:
    """Return the bytes of the hash, 0 for one that TLS has not, and the least of the salt."""
    _, start, end = next(elements(algorithm, 0, len(algorithm)))
    fields = list(elements(algorithm, start, end))
    if len(fields) == 1:
        return max(_HASHES.values()), 0  # no restriction
    size, salt = 0, _DEFAULT_SALT
    for kind, at, upto in elements(algorithm, *fields[1][1:]):
        _, first, last = next(elements(algorithm, at, upto))
        if kind == _PSS_HASH:
            _, first, last = next(elements(algorithm, first, last))
            size = _HASHES.get(algorithm[first:last], 0)
        elif kind == _PSS_SALT:
            salt = int.from_bytes(algorithm[first:last], "big")
    return size, salt
