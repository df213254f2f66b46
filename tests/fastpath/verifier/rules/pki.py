"""Certificates and revocation lists for the tests, good ones and strange ones; P-256 keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import (
    CertificateIssuerPrivateKeyTypes,
    CertificatePublicKeyTypes,
)
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CLIENT = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
ANY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])

Extension = tuple[x509.ExtensionType, bool]


def usage(*names: str) -> x509.KeyUsage:
    every = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
        "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


def name(text: str) -> x509.Name:
    """``CN=a,O=b``, or a common name alone."""
    if "=" in text:
        return x509.Name.from_rfc4514_string(text, {"E": NameOID.EMAIL_ADDRESS})
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@dataclass(frozen=True)
class Made:
    """A certificate and its key, which may issue others."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        subject: str,
        *extensions: Extension,
        ca: bool = False,
        pathlen: int | None = None,
        since: timedelta = -10 * DAY,
        until: timedelta = 100 * DAY,
        key: CertificateIssuerPrivateKeyTypes | None = None,
        serial: int | None = None,
    ) -> Made:
        """Dates are told from NOW on."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        more = [*extensions]
        if ca:
            more.append((x509.BasicConstraints(True, pathlen), True))
        made = sign(
            name(subject), self.certificate.subject, key.public_key(), self.key, more,
            since, until, serial,
        )  # fmt: skip
        return Made(made, key)

    def crl(
        self,
        *revoked: x509.Certificate | x509.RevokedCertificate,
        since: timedelta = -DAY,
        until: timedelta = DAY,
        extensions: Sequence[Extension] = (),
        issuer: str | None = None,
    ) -> bytes:
        """DER."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name(issuer) if issuer is not None else self.certificate.subject)
            .last_update(NOW + since)
            .next_update(NOW + until)
        )
        for each in revoked:
            if isinstance(each, x509.Certificate):
                each = entry(each.serial_number, x509.ReasonFlags.key_compromise)
            builder = builder.add_revoked_certificate(each)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, SHA256()).public_bytes(Encoding.DER)


def entry(serial: int, reason: x509.ReasonFlags, *more: Extension) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(serial)
        .revocation_date(NOW - 2 * DAY)
        .add_extension(x509.CRLReason(reason), False)
    )
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    return builder.build()


def sign(
    subject: x509.Name,
    issuer: x509.Name,
    public: CertificatePublicKeyTypes,
    key: CertificateIssuerPrivateKeyTypes,
    extensions: Sequence[Extension] = (),
    since: timedelta = -10 * DAY,
    until: timedelta = 100 * DAY,
    serial: int | None = None,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(NOW + since)
        .not_valid_after(NOW + until)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    hashed = SHA256() if isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) else None
    return builder.sign(key, hashed)


def self_signed(
    subject: str,
    *extensions: Extension,
    ca: bool = True,
    pathlen: int | None = None,
    since: timedelta = -10 * DAY,
    until: timedelta = 100 * DAY,
    key: CertificateIssuerPrivateKeyTypes | None = None,
) -> Made:
    key = key or ec.generate_private_key(ec.SECP256R1())
    more = [*extensions]
    if ca:
        more.append((x509.BasicConstraints(True, pathlen), True))
    who = name(subject)
    return Made(sign(who, who, key.public_key(), key, more, since, until), key)


def cross(subject: Made, issuer: Made) -> x509.Certificate:
    """`subject`'s key as a CA, signed by `issuer`."""
    return sign(
        subject.certificate.subject, issuer.certificate.subject,
        subject.key.public_key(), issuer.key, [(x509.BasicConstraints(True, None), True)],
    )  # fmt: skip


def tower(root: Made, levels: int) -> list[Made]:
    """`levels` CAs below `root`, the last one at the end."""
    made: list[Made] = []
    for level in range(levels):
        made.append((made[-1] if made else root).issue(f"level {level}", ca=True))
    return made


# --- what cryptography does not sign


def elements(der: bytes) -> list[bytes]:
    """What is in a SEQUENCE of less than 64 KiB, as it is encoded."""
    start, end = _content(der, 0)
    found = []
    while start < end:
        _, after = _content(der, start)
        found.append(der[start:after])
        start = after
    return found


def _content(der: bytes, at: int) -> tuple[int, int]:
    length = der[at + 1]
    if length < 0x80:
        return at + 2, at + 2 + length
    size = length & 0x7F
    return at + 2 + size, at + 2 + size + int.from_bytes(der[at + 2 : at + 2 + size])


def sequence(*parts: bytes, tag: int = 0x30) -> bytes:
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes((tag, len(body))) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + len(body).to_bytes(size) + body


def version_one(made: Made, issuer: Made) -> bytes:
    """`made` without version and extensions, signed once more."""
    body = elements(made.certificate.tbs_certificate_bytes)[1:7]
    tbs = sequence(*body)
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    signature = issuer.key.sign(tbs, ec.ECDSA(SHA256()))
    return sequence(tbs, body[1], sequence(b"\0" + signature, tag=0x03))


def by_sha1(made: Made, issuer: Made) -> bytes:
    """`made`, signed with SHA-1 by the P-256 key of `issuer`."""
    algorithm = sequence(bytes.fromhex("06072a8648ce3d0401"))  # ecdsa-with-SHA1
    parts = elements(made.certificate.tbs_certificate_bytes)
    parts[2] = algorithm
    tbs = sequence(*parts)
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    signature = issuer.key.sign(tbs, ec.ECDSA(SHA1()))  # noqa: S303
    return sequence(tbs, algorithm, sequence(b"\0" + signature, tag=0x03))


def edited_crl(crl: bytes, issuer: Made, *, sha1: bool = False, endless: bool = False) -> bytes:
    """`crl`, signed with SHA-1 or without nextUpdate."""
    algorithm = bytes.fromhex("06072a8648ce3d0401" if sha1 else "06082a8648ce3d040302")
    parts = elements(x509.load_der_x509_crl(crl).tbs_certlist_bytes)
    parts[1] = sequence(algorithm)
    if endless:
        del parts[4]  # version, signature, issuer, thisUpdate, nextUpdate
    tbs = sequence(*parts)
    assert isinstance(issuer.key, ec.EllipticCurvePrivateKey)
    hashed = SHA1() if sha1 else SHA256()  # noqa: S303
    signature = issuer.key.sign(tbs, ec.ECDSA(hashed))
    return sequence(tbs, parts[1], sequence(b"\0" + signature, tag=0x03))
