"""Whether an upstream is who it should be, and why not, in words for people.

OpenSSL builds and verifies the chain, for the purpose serverAuth (the default of a client's
connections). It asks `verified` about each certificate; the host name or address is compared there,
with the leaf, so that a wrong name ends the handshake with an alert before there are any keys.
Names are those of subjectAltName alone, never the common name (RFC 9525 §6.3).
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL, crypto
from service_identity import CertificateError, VerificationError
from service_identity.hazmat import (
    DNS_ID,
    CertificatePattern,
    DNSPattern,
    IPAddress_ID,
    IPAddressPattern,
    verify_service_identity,
)

from kssl.config import foreign
from kssl.config.errors import ConfigError, printable
from kssl.fastpath.worker.contexts import Secrets

# Names of a certificate that a message shows, and characters of each.
_SHOWN_NAMES = 3
_SHOWN_LENGTH = 100

# X509_V_ERR_…: openssl/x509_vfy.h.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNTRUSTED = {
    2: "unable to get issuer certificate",
    18: "self-signed certificate",
    19: "self-signed certificate in certificate chain",
    20: "unable to get local issuer certificate",
    21: "unable to verify the first certificate",
}
_OTHER = {
    7: "has a signature that is wrong",
    22: "is at the end of a chain that is too long",
    25: "is below an issuer that may not issue further CAs (pathlen)",
    26: "is not for servers (extendedKeyUsage without serverAuth, or keyUsage)",
    28: "is rejected by the CA file's own trust settings",
    47: "has a name that its issuer may not vouch for (nameConstraints)",
    48: "has a name that its issuer may not vouch for (nameConstraints)",
    66: "has a key that is too short for today",
    67: "has an issuer whose key is too short for today",
    68: "is signed with a hash that is too weak for today",
    79: "issues certificates and is no CA",
}


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom an upstream's certificate must be for: a host name or an IP address."""

    name: str
    expected: DNS_ID | IPAddress_ID

    @classmethod
    def of(cls, name: str) -> Identity:
        """Raises ConfigError: ``name`` is neither, or not in ASCII."""
        try:
            return cls(name, IPAddress_ID(name))
        except ValueError:
            pass
        try:
            if name.isascii():
                return cls(name, DNS_ID(name))
        except ValueError:
            pass
        raise ConfigError(
            f"upstream name {name!r} is neither a host name in ASCII nor an IP address"
        )

    @property
    def sni(self) -> bytes | None:
        """None for addresses, which SNI does not know (RFC 6066 §3)."""
        return self.expected.hostname if isinstance(self.expected, DNS_ID) else None

    def mismatch(self, certificate: x509.Certificate) -> str | None:
        """Why ``certificate`` is not for this name; None: it is."""
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except x509.ExtensionNotFound:
            return f"its certificate names no host (no subjectAltName), so not {self.name} either"
        try:
            verify_service_identity(_patterns(names.value), [self.expected], [])
        except (VerificationError, CertificateError):
            return f"its certificate is for {_shown(names.value)}, not for {self.name}"
        return None


@dataclass(slots=True, repr=False, kw_only=True)
class Upstream(Secrets):
    """The app data of a connection to an upstream. Like `Secrets`, never printed."""

    identity: Identity
    ca: Path | None  # None: the system's
    has_certificate: bool  # of our own
    verified: bool = False  # chain and name
    certificate_asked: bool = False  # of us
    problem: str = ""  # why it was not verified


def verified(
    connection: SSL.Connection, certificate: crypto.X509, error: int, depth: int, fine: int
) -> bool:
    """The context's verify callback: called from the top of the chain (or wherever there is an
    ``error``) down to the leaf, which has ``depth`` 0.

    False ends the handshake with an alert: the one of the ``error``, or internal_error when it is
    us who refuse, because there is no way to tell OpenSSL another."""
    upstream: Upstream = connection.get_app_data()
    try:
        if not fine:
            upstream.problem = _problem(error, depth, certificate.to_cryptography(), upstream.ca)
        elif depth == 0:
            upstream.problem = upstream.identity.mismatch(certificate.to_cryptography()) or ""
            upstream.verified = not upstream.problem
    except BaseException as strange:  # whatever is said of a stranger's bytes: not verified
        if not isinstance(strange, Exception) and not foreign.is_panic(strange):
            raise
        upstream.problem = f"its certificate cannot be read ({printable(str(strange))[:200]})"
    return not upstream.problem


def noticed(connection: SSL.Connection, where: int, value: int) -> None:
    """The context's info callback: only here OpenSSL tells that the upstream asks for ours."""
    if connection.get_state_string().endswith(b"read server certificate request"):
        connection.get_app_data().certificate_asked = True


def _problem(error: int, depth: int, certificate: x509.Certificate, ca: Path | None) -> str:
    subject = printable(certificate.subject.rfc4514_string())[:_SHOWN_LENGTH]
    whose = "its certificate" if depth == 0 else f"the CA above its certificate ({subject})"
    if error == _EXPIRED:
        return f"{whose} has expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if error == _NOT_YET_VALID:
        start = certificate.not_valid_before_utc
        return f"{whose} is valid only from {start:%Y-%m-%d %H:%M} UTC; check the clock"
    if error in _UNTRUSTED:
        # No path: whoever asked gets to read this in a page.
        known = "only those of upstream_ca are" if ca is not None else "give its CA as upstream_ca"
        return (
            "its certificate is not signed by a CA that is trusted here "
            f"({_UNTRUSTED[error]}); {known}"
        )
    return f"{whose} {_OTHER.get(error, f'is not accepted by OpenSSL (X.509 error {error})')}"


def _patterns(names: x509.SubjectAlternativeName) -> list[CertificatePattern]:
    """Host names and addresses. One that no name could match does not spoil the others."""
    patterns: list[CertificatePattern] = []
    for name in names.get_values_for_type(x509.DNSName):
        try:
            patterns.append(DNSPattern.from_bytes(name.encode()))
        except CertificateError:
            continue
    patterns += [
        IPAddressPattern(each)
        for each in names.get_values_for_type(x509.IPAddress)
        if isinstance(each, ipaddress.IPv4Address | ipaddress.IPv6Address)
    ]
    return patterns


def _shown(names: x509.SubjectAlternativeName) -> str:
    hosts = [
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    ]
    shown = ", ".join(printable(host)[:_SHOWN_LENGTH] for host in hosts[:_SHOWN_NAMES])
    more = f" and {len(hosts) - _SHOWN_NAMES} more" if len(hosts) > _SHOWN_NAMES else ""
    return shown + more if hosts else "no host"
