"""The one place that parses what this program did not write: certificates, keys, PKCS #12, CRLs.

The parser of cryptography raises ValueError, TypeError, UnsupportedAlgorithm, InvalidVersion,
DuplicateExtension, UnsupportedGeneralNameType and more, which have no base class in common but
Exception; a panic in its Rust is a BaseException that is not even that. Many of them come late,
when a property is read for the first time. So everything is parsed inside `reading`, which makes
one kind of error of them all, and a certificate is read to its end at once, here.

What is raised does not chain the library's error, which may have seen a private key.
"""

from __future__ import annotations

import ipaddress
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from kssl.config.der import elements
from kssl.config.errors import ConfigError

T = TypeVar("T")

DAMAGED = "is damaged; copy it again"

_PANIC = "PanicException"  # of pyo3, made anew in each module that is written in Rust

# GeneralName (RFC 5280 §4.2.1.6): the tags of what a client looks for, and of what cannot be read.
_DNS, _ADDRESS = 0x82, 0x87
_UNREAD = {0xA3: "an x400Address", 0xA5: "an ediPartyName"}
_EXTENSIONS = 0xA3  # of TBSCertificate
_SUBJECT_ALT_NAME = bytes.fromhex("551d11")


class UnreadableError(Exception):
    """What cannot be parsed; ``str()`` follows its noun: "is damaged; copy it again".

    Whoever parses adds the file, and where in it.
    """


def is_panic(error: BaseException) -> bool:
    """Return whether ``error`` is a panic in Rust: the parser's fault, not a wish to end."""
    return type(error).__name__ == _PANIC and not isinstance(error, Exception)


@contextmanager
def reading(
    problem: str = DAMAGED, *, keep: tuple[type[BaseException], ...] = ()
) -> Iterator[None]:
    """Parse inside: whatever the parser raises becomes UnreadableError.

    Errors that are in our own words already pass. ``problem`` is said where nothing better is
    known. ``keep``: errors of the library that the caller has better words for.
    """
    try:
        # Odd serial numbers and names; the bytes of strangers must not write to our log.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (UnreadableError, ConfigError, MemoryError):
        raise
    except BaseException as error:
        if isinstance(error, keep):
            raise
        if isinstance(error, Exception) or is_panic(error):
            raise UnreadableError(_reason(error, problem)) from None
        raise


def attempt(call: Callable[[], T], otherwise: T) -> T:
    """Return what ``call`` does; ``otherwise`` where the parser refuses."""
    try:
        with reading():
            return call()
    except UnreadableError:
        return otherwise


def issued(of: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Return whether ``issuer`` signed ``of``; False where that cannot be told."""

    def verify() -> bool:
        of.verify_directly_issued_by(issuer)
        return True

    return attempt(verify, False)


def _reason(error: BaseException, problem: str) -> str:
    if isinstance(error, x509.InvalidVersion):
        field_value = error.parsed_version
        return (
            f"has the X.509 version field {field_value} (version {field_value + 1}), which is not "
            "supported; have it issued as version 3 (field 2)"
        )
    if isinstance(error, x509.DuplicateExtension):
        return f"has the extension {error.oid.dotted_string} twice; have it issued again"
    if isinstance(error, x509.UnsupportedGeneralNameType):
        return (
            "has a name of a kind that cannot be read (x400Address or ediPartyName); have it "
            "issued without"
        )
    if isinstance(error, UnsupportedAlgorithm):
        return "uses an algorithm that is not supported; have it issued with another"
    return problem


def certificate(data: bytes, *, pem: bool = False, odd_names: bool = False) -> x509.Certificate:
    """Return a certificate that has been read to its end. Raises UnreadableError.

    ``odd_names``: names of a kind that cryptography cannot read do no harm, because clients judge
    the certificate, not we; `host_names` tells the others.
    """
    with reading():
        load = x509.load_pem_x509_certificate if pem else x509.load_der_x509_certificate
        found = load(data)
    return checked(found, odd_names=odd_names)


def certificates(pem: bytes, *, odd_names: bool = False) -> list[x509.Certificate]:
    """Return all that are in a PEM text, one at least. Raises UnreadableError."""
    with reading():
        found = x509.load_pem_x509_certificates(pem)
    return [checked(each, odd_names=odd_names) for each in found]


def checked(found: x509.Certificate, *, odd_names: bool = False) -> x509.Certificate:
    """Return ``found`` once everything in it that is parsed late was read. See `certificate`."""
    for name, read in _PARTS.items():
        with reading(f"is damaged: {name} cannot be read; copy it again, or have it issued anew"):
            read(found)
    with reading("is damaged: its extensions cannot be read; copy it again"):
        try:
            found.extensions  # noqa: B018
        except x509.UnsupportedGeneralNameType:
            if not odd_names:
                raise
            raw_names(found)
    return found


def _key(found: x509.Certificate) -> None:
    """A kind that is not supported is told when it is met."""
    try:
        found.public_key()
    except UnsupportedAlgorithm:
        return


_PARTS: dict[str, Callable[[x509.Certificate], object]] = {
    "its subject (is a text in another encoding than it says?)": lambda each: (
        each.subject.rfc4514_string()
    ),
    "its issuer (is a text in another encoding than it says?)": lambda each: (
        each.issuer.rfc4514_string()
    ),
    "its validity": lambda each: (each.not_valid_before_utc, each.not_valid_after_utc),
    "its serial number": lambda each: (each.serial_number, each.version),
    "its signature": lambda each: (each.signature, each.signature_algorithm_oid),
    "its public key": _key,
}


@dataclass(frozen=True, slots=True)
class HostNames:
    """What a subjectAltName says of hosts. ``ignored``: what else is in it that nobody can read."""

    dns: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        return [*self.dns, *self.addresses]


def host_names(found: x509.Certificate) -> HostNames | None:
    """Return the host names and addresses of a subjectAltName; None: it has none that is readable.

    Raises nothing.
    """
    try:
        with reading():
            try:
                names = found.extensions.get_extension_for_oid(
                    ExtensionOID.SUBJECT_ALTERNATIVE_NAME
                ).value
            except x509.UnsupportedGeneralNameType:
                return raw_names(found)
            except x509.ExtensionNotFound:
                return None
            assert isinstance(names, x509.SubjectAlternativeName)
            return HostNames(
                names.get_values_for_type(x509.DNSName),
                [str(each) for each in names.get_values_for_type(x509.IPAddress)],
            )
    except UnreadableError:
        return None


def raw_names(found: x509.Certificate) -> HostNames | None:
    """As `host_names`, by the bytes alone, where cryptography knows not all kinds of names.

    Raises whatever happens; to be called inside `reading`.
    """
    der = found.tbs_certificate_bytes
    _, start, end = next(elements(der, 0, len(der)))
    for kind, at, upto in elements(der, start, end):
        if kind == _EXTENSIONS:
            _, at, upto = next(elements(der, at, upto))
            for _, at_one, upto_one in elements(der, at, upto):
                fields = list(elements(der, at_one, upto_one))
                if der[fields[0][1] : fields[0][2]] == _SUBJECT_ALT_NAME:
                    return _general_names(der[fields[-1][1] : fields[-1][2]])
    return None


def _general_names(der: bytes) -> HostNames:
    names = HostNames()
    _, start, end = next(elements(der, 0, len(der)))
    for kind, at, upto in elements(der, start, end):
        if kind == _DNS:
            names.dns.append(der[at:upto].decode("ascii"))
        elif kind == _ADDRESS:
            names.addresses.append(str(ipaddress.ip_address(der[at:upto])))
        elif kind in _UNREAD:
            names.ignored.append(_UNREAD[kind])
    return names
