"""Revocation lists (RFC 5280 §5), full and direct ones.

Delta lists and indirect ones are refused: they say something only together with what is not here.
A list whose critical extensions are not understood, or that is for some reasons only, proves
nothing good: whom it names is revoked, of all others it says that nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import CRLEntryExtensionOID, ExtensionOID

from kssl.config import foreign
from kssl.config.errors import ConfigError
from kssl.fastpath.verifier.rules.profile import issuer_key_fault

T = TypeVar("T", bound=x509.ExtensionType)

MAX_CRL = 32 << 20  # bytes, some 800,000 entries
MAX_CRLS = 1000

_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_KNOWN = (ExtensionOID.CRL_NUMBER, ExtensionOID.ISSUING_DISTRIBUTION_POINT,
          ExtensionOID.AUTHORITY_KEY_IDENTIFIER)  # fmt: skip
_KNOWN_OF_ENTRIES = (CRLEntryExtensionOID.CRL_REASON, CRLEntryExtensionOID.INVALIDITY_DATE)


@dataclass(frozen=True, slots=True)
class Revoked:
    """`reason`: of RFC 5280 §5.3.1, or "no reason given"."""

    date: datetime
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Crl:
    """One list, read once. `doubt`: why it cannot tell that a certificate is good; "": it can."""

    issuer: x509.Name
    this_update: datetime
    next_update: datetime | None
    doubt: str
    only_users: bool
    only_cas: bool
    point: tuple[x509.GeneralName, ...]  # for certificates that name one of these; (): for all
    revoked: Mapping[int, Revoked] = field(repr=False)
    _list: x509.CertificateRevocationList = field(repr=False)
    _signed: dict[bytes, bool] = field(repr=False)  # by the issuer's fingerprint

    @classmethod
    def parse(cls, data: bytes, where: str) -> Crl:
        """`data`: one list in DER; `where` begins the messages. Raises ConfigError."""
        if len(data) > MAX_CRL:
            raise ConfigError(f"{where}: this CRL is larger than {MAX_CRL} bytes")
        try:
            with foreign.reading("is damaged; fetch it again"):
                return cls._read(x509.load_der_x509_crl(data), where)
        except foreign.UnreadableError as error:
            raise ConfigError(f"{where}: this CRL {error}") from None

    @classmethod
    def _read(cls, parsed: x509.CertificateRevocationList, where: str) -> Crl:
        if _extension(parsed, x509.DeltaCRLIndicator) is not None:
            raise ConfigError(
                f"{where}: this is a delta CRL, which is not supported; give the full one"
            )
        scope = _extension(parsed, x509.IssuingDistributionPoint)
        if scope is not None and scope.indirect_crl:
            raise ConfigError(
                f"{where}: this is an indirect CRL, which is not supported; give those of the "
                "CAs themselves"
            )
        doubt = _doubt(parsed, scope)
        revoked, strange = _entries(parsed)
        return cls(
            issuer=parsed.issuer,
            this_update=parsed.last_update_utc,
            next_update=parsed.next_update_utc,
            doubt=doubt or strange,
            only_users=scope is not None and scope.only_contains_user_certs,
            only_cas=scope is not None and scope.only_contains_ca_certs,
            point=tuple((scope.full_name or ()) if scope is not None else ()),
            revoked=MappingProxyType(revoked),
            _list=parsed,
            _signed={},
        )

    def signed_by(self, issuer: x509.Certificate) -> bool:
        """Remembered: a long list takes milliseconds. Only CAs of accepted paths come here."""
        known = self._signed.get(key := issuer.fingerprint(hashes.SHA256()))
        if known is None:
            known = self._signed[key] = foreign.attempt(
                lambda: self._check_signature(issuer), False
            )
        return known

    def _check_signature(self, issuer: x509.Certificate) -> bool:
        key = issuer.public_key()
        if issuer_key_fault(issuer) is not None:
            return False
        assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
        if not isinstance(self._list.signature_hash_algorithm, _HASHES):
            return False
        return self._list.is_signature_valid(key)


@dataclass(frozen=True, slots=True, eq=False)
class CrlSet:
    """Lists by the name of who issued them, the latest first."""

    lists: Mapping[x509.Name, tuple[Crl, ...]]

    @classmethod
    def of(cls, lists: Iterable[Crl]) -> CrlSet:
        """Raises ConfigError: too many."""
        found: dict[x509.Name, list[Crl]] = {}
        for number, each in enumerate(sorted(lists, key=_age, reverse=True)):
            if number >= MAX_CRLS:
                raise ConfigError(f"more than {MAX_CRLS} CRLs; give those of the site's CAs")
            found.setdefault(each.issuer, []).append(each)
        return cls(MappingProxyType({name: tuple(them) for name, them in found.items()}))

    @classmethod
    def parse(cls, blobs: Iterable[bytes]) -> CrlSet:
        """`blobs`: one list each, DER or PEM. Raises ConfigError."""
        return cls.of(
            Crl.parse(_der(data, f"CRL {number}"), f"CRL {number}")
            for number, data in enumerate(blobs, 1)
        )


def _der(data: bytes, where: str) -> bytes:
    if b"-----BEGIN " not in data[:64]:
        return data
    try:
        return der_of_pem(data, where)
    except foreign.UnreadableError as error:
        raise ConfigError(f"{where}: this CRL {error}") from None


def der_of_pem(data: bytes, where: str) -> bytes:
    """Return the one CRL in a PEM text. Raises ConfigError: there are more; UnreadableError."""
    if data.count(b"-----BEGIN") > 1:
        # The library reads the first; what the others revoke would be taken for good.
        raise ConfigError(f"{where}: more than one CRL in PEM; one alone is read here")
    with foreign.reading("is damaged; fetch it again"):
        return x509.load_pem_x509_crl(data).public_bytes(Encoding.DER)


def _age(crl: Crl) -> datetime:
    return crl.this_update


def _doubt(
    parsed: x509.CertificateRevocationList, scope: x509.IssuingDistributionPoint | None
) -> str:
    for extension in parsed.extensions:
        if extension.critical and extension.oid not in _KNOWN:
            oid = extension.oid.dotted_string
            return f"it has a critical extension that is not understood ({oid})"
    if scope is None:
        return ""
    if scope.only_contains_attribute_certs:
        return "it is for attribute certificates only"
    if scope.only_some_reasons:
        return "it is for some reasons only"
    if scope.relative_name:
        return "it is for a distribution point with a relative name, which is not supported"
    return ""


def _entries(parsed: x509.CertificateRevocationList) -> tuple[dict[int, Revoked], str]:
    """By serial number; and what of the list is not understood."""
    revoked: dict[int, Revoked] = {}
    strange = ""
    for entry in parsed:
        reason = "no reason given"
        for extension in entry.extensions:
            if isinstance(extension.value, x509.CRLReason):
                reason = extension.value.reason.value
            elif extension.critical and extension.oid not in _KNOWN_OF_ENTRIES:
                oid = extension.oid.dotted_string
                strange = f"an entry has a critical extension that is not understood ({oid})"
        if reason != x509.ReasonFlags.remove_from_crl.value:
            revoked[entry.serial_number] = Revoked(entry.revocation_date_utc, reason)
    return revoked, strange


def _extension(parsed: x509.CertificateRevocationList, kind: type[T]) -> T | None:
    try:
        return parsed.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
