"""How the certificates of the development CA look. Nothing here touches a file or a clock.

The CA's own certificate carries critical name constraints (RFC 5280, 4.2.1.10), see
`kssl.config.devca` for the reasons.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LOOPBACK_4 = ipaddress.IPv4Network("127.0.0.0/8")
_LOOPBACK_6 = ipaddress.IPv6Network("::1/128")
_CONSTRAINTS = x509.NameConstraints(
    permitted_subtrees=[
        x509.DNSName("localhost"),  # covers the names below it too
        x509.IPAddress(_LOOPBACK_4),
        x509.IPAddress(_LOOPBACK_6),
    ],
    excluded_subtrees=None,
)


def self_signed(
    key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.Certificate:
    """The CA's own certificate."""
    # The fingerprint tells two machines' CAs apart in a trust store, without naming either the
    # user or the host.
    fingerprint = hashlib.sha256(spki(key.public_key())).hexdigest()[:8]
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"kssl development CA {fingerprint}")]
    )
    key_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(leaf=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_CONSTRAINTS, critical=True)
        .add_extension(key_id, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(key_id), False
        )
        .sign(key, SHA256())
    )


def issue_leaf(
    names: Sequence[str],
    public: ec.EllipticCurvePublicKey,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    start: datetime,
    end: datetime,
) -> x509.Certificate:
    """A certificate for `names`, valid at most as long as `issuer`."""
    issuer_key_id = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    # No host name in the subject: clients read the SAN only, and OpenSSL holds a common
    # name that looks like a host name ("127.0.0.1" does) against the DNS constraints.
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kssl development leaf")])
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(start, issuer.not_valid_before_utc))
        .not_valid_after(min(end, issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(leaf=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key_id), False
        )
        .sign(issuer_key, SHA256())
    )


def _usage(*, leaf: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=leaf,
        key_cert_sign=not leaf,
        crl_sign=not leaf,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def address_of(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The IP address that `name` is, None for a host name."""
    if not (name[-1:].isdigit() or ":" in name):  # a host name, as nearly all of them
        return None
    if "%" in name:  # a zone: no certificate can hold one
        return None
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def is_loopback(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    # Not address.is_loopback: since Python 3.13 that is true of ::ffff:127.0.0.1 too, which is
    # outside the constraints.
    return address in _LOOPBACK_4 or address in _LOOPBACK_6


def general_name(name: str) -> x509.GeneralName:
    address = address_of(name)
    return x509.DNSName(name) if address is None else x509.IPAddress(address)


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    """SubjectPublicKeyInfo, DER: equal for equal keys."""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def spki_of(certificate: x509.Certificate) -> bytes | None:
    """As `spki`; None for a key that is not supported."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
