"""Rules of a site: which of the trusted certificates it takes.

| rule | matches |
|---|---|
| ``issuer:CN=Foo CA,O=Foo`` | certificates issued by this name (RFC 4514) |
| ``issuer:*,O=Foo,C=DE`` | issuers whose name ends so: everything of Foo in DE |
| ``dns:host.example.org`` | a DNS name in subjectAltName |
| ``dns:*.example.org`` | one label below, as ``*.example.org`` itself |
| ``email:user@example.org``, ``email:*@example.org`` | one mailbox, all of a host |
| ``uri:https://example.org/app``, ``uri:spiffe://example.org/*`` | one URI, all that begin so |
| ``ip:192.0.2.1``, ``ip:192.0.2.0/24`` | an address, a network |
| ``fingerprint:AB:CD:…`` | one certificate, SHA-256, with colons or without (`fingerprints`) |

Deny wins. With any allow rule, one of them must match. Subjects and common names are not for rules:
issuers vouch for what is in subjectAltName, and a rule about a CA says whose word counts.

DNS names and hosts are compared without regard to case, mailboxes and URIs exactly, issuers nearly
as RFC 5280 §7.1 has it: without regard to case and to spaces in excess.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.x509.oid import NameOID

from kssl.config.errors import ConfigError
from kssl.fastpath.verifier.rules.fingerprints import fingerprints
from kssl.fastpath.verifier.rules.names import quoted, sans_of
from kssl.fastpath.verifier.rules.verdict import Fault, Kind

FORMS = "issuer:DN, dns:NAME, email:ADDRESS, uri:URI, ip:ADDRESS, fingerprint:SHA-256"
MAX_RULES = 1000
# In subjectAltName; each is compared with each rule. Real ones have one or two.
MAX_NAMES = 200
_MAX_LENGTH = 2048  # characters of one

Matcher = Callable[[x509.Certificate], bool]
_Rdn = frozenset[tuple[str, str]]

_TYPES = {"E": NameOID.EMAIL_ADDRESS, "emailAddress": NameOID.EMAIL_ADDRESS}
_NAMES = ("dns", "email", "uri", "ip")  # what is in subjectAltName
_FINGERPRINT = re.compile(r"[0-9a-f]{64}|[0-9a-f]{2}(:[0-9a-f]{2}){31}")
_HOST = re.compile(r"(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
# Scheme and authority, then a path: a prefix must not end within a host name.
_PREFIX = re.compile(r"[a-z][a-z0-9+.-]*://[^/*?#]+/[^*?#]*\*|urn:[a-z0-9-]+:([^*]+[:/])?\*", re.I)


@dataclass(frozen=True, slots=True)
class Rule:
    text: str
    matches: Matcher = field(repr=False, compare=False)

    @property
    def by_names(self) -> bool:
        return self.text.partition(":")[0].lower() in _NAMES


@dataclass(frozen=True, slots=True)
class Rules:
    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()

    @classmethod
    def parse(cls, allow: Sequence[str], deny: Sequence[str]) -> Rules:
        """Raises ConfigError, with the text of the rule."""
        if len(allow) + len(deny) > MAX_RULES:
            raise ConfigError(f"more than {MAX_RULES} rules for client certificates")
        return cls(tuple(map(parse_rule, allow)), tuple(map(parse_rule, deny)))

    @property
    def by_names(self) -> bool:
        """Whether one looks into subjectAltName."""
        return any(rule.by_names for rule in (*self.allow, *self.deny))

    def fault(self, certificate: x509.Certificate) -> Fault | None:
        """Why `certificate` is not taken; None: it is. Raises ValueError: it cannot be read."""
        if len(list(sans_of(certificate) or ())) > MAX_NAMES and self.by_names:
            text = f"has more than {MAX_NAMES} alternative names, too many for the rules here"
            return Fault(Kind.RULE, text, "use a certificate with fewer")
        for rule in self.deny:
            if rule.matches(certificate):
                text = f"is denied by the rule {quoted(rule.text)}"
                return Fault(Kind.RULE, text, "use another certificate")
        if self.allow and not any(rule.matches(certificate) for rule in self.allow):
            count = len(self.allow)
            which = f"the rule {quoted(self.allow[0].text)}" if count == 1 else f"{count} rules"
            text = f"is trusted, but not allowed: it does not match {which} of this site"
            return Fault(Kind.RULE, text, "use another certificate, or add a rule that allows it")
        return None


def parse_rule(text: str) -> Rule:
    """Raises ConfigError."""
    kind, colon, value = text.partition(":")
    parser = _PARSERS.get(kind.lower())
    if not colon or parser is None or not value or len(text) > _MAX_LENGTH:
        raise ConfigError(f"{text[:_MAX_LENGTH]!r} is not a rule; write one of {FORMS}")
    return Rule(text, parser(value, text))


# --- issuer


def _issuer(value: str, text: str) -> Matcher:
    open_ended = value.startswith("*,")
    try:
        name = x509.Name.from_rfc4514_string(value[2:] if open_ended else value, _TYPES)
    except ValueError:
        name = x509.Name([])
    wanted = _rdns(name)
    if not wanted:
        raise ConfigError(
            f"{text!r}: this is not a name as RFC 4514 has it; write it as kssl cert test shows "
            "it: issuer:CN=Foo CA,O=Foo (no space after a comma, types in capitals)"
        )

    def matches(certificate: x509.Certificate) -> bool:
        found = _rdns(certificate.issuer)
        return (found[: len(wanted)] if open_ended else found) == wanted

    return matches


def _rdns(name: x509.Name) -> list[_Rdn]:
    """From the root down, as in the certificate; RFC 4514 writes it the other way round."""
    return [
        frozenset((each.oid.dotted_string, _folded(each.value)) for each in rdn)
        for rdn in name.rdns
    ]


def _folded(value: str | bytes) -> str:
    return " ".join(value.split()).casefold() if isinstance(value, str) else value.hex()


# --- subjectAltName


def _dns(value: str, text: str) -> Matcher:
    wanted = value.lower().removesuffix(".")
    if not _HOST.fullmatch(wanted):
        raise ConfigError(f"{text!r}: this is not a host name in ASCII, nor *. and a host name")

    def matches(certificate: x509.Certificate) -> bool:
        return any(_host_matches(name, wanted) for name in _sans(certificate, x509.DNSName))

    return matches


def _host_matches(name: str, wanted: str) -> bool:
    name = name.lower().removesuffix(".")
    if not wanted.startswith("*."):
        return name == wanted
    label, dot, rest = name.partition(".")
    return bool(label and dot) and rest == wanted[2:]


def _email(value: str, text: str) -> Matcher:
    local, at, host = value.rpartition("@")
    host = host.lower()
    if (
        not at
        or not local
        or not _HOST.fullmatch(host)
        or "*" in host
        or ("*" in local and local != "*")
    ):
        raise ConfigError(f"{text!r}: this is not user@host, nor *@host")

    def matches(certificate: x509.Certificate) -> bool:
        for address in _sans(certificate, x509.RFC822Name):
            its_local, _, its_host = address.rpartition("@")
            if its_host.lower() == host and its_local and local in ("*", its_local):
                return True
        return False

    return matches


def _uri(value: str, text: str) -> Matcher:
    prefix = value[:-1] if _PREFIX.fullmatch(value) else ""
    if "*" in value and not prefix:
        raise ConfigError(
            f"{text!r}: * may only stand at the end, and behind the host: uri:spiffe://host/*"
        )

    def matches(certificate: x509.Certificate) -> bool:
        found = _sans(certificate, x509.UniformResourceIdentifier)
        if prefix:
            return any(uri.startswith(prefix) and ".." not in uri for uri in found)
        return value in found

    return matches


def _ip(value: str, text: str) -> Matcher:
    try:
        network = ipaddress.ip_network(value)
    except ValueError:
        raise ConfigError(
            f"{text!r}: this is neither an IP address nor a network as 192.0.2.0/24"
        ) from None

    def matches(certificate: x509.Certificate) -> bool:
        sans = sans_of(certificate)
        found = sans.get_values_for_type(x509.IPAddress) if sans is not None else []
        return any(
            address in network
            for address in found
            if isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address)
        )

    return matches


def _sans(
    certificate: x509.Certificate,
    kind: type[x509.DNSName] | type[x509.RFC822Name] | type[x509.UniformResourceIdentifier],
) -> list[str]:
    sans = sans_of(certificate)
    return list(sans.get_values_for_type(kind)) if sans is not None else []


# --- fingerprint


def _fingerprint(value: str, text: str) -> Matcher:
    if not _FINGERPRINT.fullmatch(value.lower()):
        raise ConfigError(
            f"{text!r}: this is not a SHA-256 fingerprint: 64 hexadecimal digits, with colons "
            "between pairs or without"
        )
    wanted = bytes.fromhex(value.replace(":", ""))
    return lambda certificate: wanted in fingerprints(certificate)


_PARSERS: dict[str, Callable[[str, str], Matcher]] = {
    "issuer": _issuer,
    "dns": _dns,
    "email": _email,
    "uri": _uri,
    "ip": _ip,
    "fingerprint": _fingerprint,
}
