"""Whether a certificate is revoked, by the lists that there are (RFC 5280 §6.3)."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from kssl.fastpath.verifier.rules.crl import Crl, CrlSet
from kssl.fastpath.verifier.rules.names import shown
from kssl.fastpath.verifier.rules.profile import is_ca


class State(enum.Enum):
    GOOD = "good"
    REVOKED = "revoked"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Status:
    """`text` follows the subject of the certificate, or "good"."""

    state: State
    text: str
    remedy: str = ""


def status(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    crls: CrlSet,
    now: datetime,
    freshness: timedelta | None,
) -> Status:
    """By the lists that `issuer` has signed itself and that are for certificates of this kind.

    The latest that is usable decides. One that is too old, or in doubt, can still say that a
    certificate was revoked: that seldom changes.
    """
    named = crls.lists.get(certificate.issuer, ())
    if not named:
        return _unknown(f"there is no CRL of {shown(certificate.issuer)}", "give its CRL")
    if not _may_sign_lists(issuer):
        return _unknown(f"{shown(issuer.subject)} must not sign CRLs (keyUsage without cRLSign)")
    signed = [each for each in named if each.signed_by(issuer)]
    if not signed:
        return _unknown(
            f"no CRL in the name of {shown(certificate.issuer)} is signed by it", "fetch it again"
        )
    fitting = [each for each in signed if _fits(each, certificate)]
    if not fitting:
        return _unknown(
            f"the CRLs of {shown(certificate.issuer)} are not for this certificate (distribution "
            "point)",
            "give the one that it names",
        )
    doubts = [_doubt(each, now, freshness) for each in fitting]
    for crl, doubt in zip(fitting, doubts, strict=True):
        found = crl.revoked.get(certificate.serial_number)
        if found is not None:
            text = f"was revoked on {found.date:%Y-%m-%d %H:%M:%S} UTC ({found.reason})"
            return Status(State.REVOKED, text, "use another certificate")
        if not doubt:
            return Status(State.GOOD, "good")
    return _unknown(f"of the CRL of {shown(certificate.issuer)}: {doubts[0]}", "fetch a new one")


def _unknown(why: str, remedy: str = "") -> Status:
    return Status(State.UNKNOWN, f"may be revoked or not, nobody can tell: {why}", remedy)


def _doubt(crl: Crl, now: datetime, freshness: timedelta | None) -> str:
    """Why it does not tell that a certificate is good; empty: it does."""
    if crl.doubt:
        return crl.doubt
    if now < crl.this_update:
        return f"it is valid only from {crl.this_update:%Y-%m-%d %H:%M:%S} UTC"
    if crl.next_update is None:
        return "it does not say until when it holds (no nextUpdate)"
    if now > crl.next_update:
        return f"it is stale since {crl.next_update:%Y-%m-%d %H:%M:%S} UTC (nextUpdate)"
    if freshness is not None and now - crl.this_update > freshness:
        return (
            f"it is of {crl.this_update:%Y-%m-%d %H:%M:%S} UTC, older than "
            f"{int(freshness.total_seconds())} s (revocationfreshnesstime)"
        )
    return ""


def _may_sign_lists(issuer: x509.Certificate) -> bool:
    try:
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return usage.crl_sign


def _fits(crl: Crl, certificate: x509.Certificate) -> bool:
    """A list for one distribution point is for the certificates that name it (§5.2.5)."""
    if (crl.only_cas or crl.only_users) and crl.only_users == is_ca(certificate):
        return False
    return not crl.point or not set(crl.point).isdisjoint(_points(certificate))


def _points(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    except x509.ExtensionNotFound:
        return []
    return [name for point in found for name in point.full_name or ()]
