"""The URLs in a certificate: where its issuer's certificate is, and where revocation lists are.

Whoever made the certificate chose them, and it may be a stranger's. Here they are only read, and
bounded; which of them may be asked is up to `kssl.fastpath.verifier.fetch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from kssl.fastpath.verifier.rules.names import quoted

T = TypeVar("T", bound=x509.ExtensionType)

# Of each kind. Public CAs name one, CAs of Windows domains two or three.
MAX_URLS = 4
MAX_LENGTH = 2048  # characters

_NOT_HTTP, _TOO_LONG, _TOO_MANY, _POINT = range(4)


@dataclass(frozen=True, slots=True)
class Urls:
    """`urls`: of http://, as they are written, in their order, each once.

    `refused`: what else is named, the first of each kind; to follow the subject of the
    certificate: "names the URL 'ldap:///…', which is not http://".
    """

    urls: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def issuer_urls(certificate: x509.Certificate) -> Urls:
    """Of its issuer's certificate: caIssuers of authorityInfoAccess (RFC 5280 §4.2.2.1)."""
    try:
        access = _value(certificate, x509.AuthorityInformationAccess)
    except Exception:  # whatever the parser says of a stranger's bytes
        return Urls(refused=("has extensions that cannot be read",))
    return _bounded(
        _uris(
            each.access_location
            for each in access or ()
            if each.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        ),
        {},
    )


def crl_urls(certificate: x509.Certificate) -> Urls:
    """Of revocation lists: cRLDistributionPoints (RFC 5280 §4.2.1.13), those with full names.

    Points for some reasons only, and those of another issuer (indirect), lead to lists that `crl`
    does not take.
    """
    try:
        points = _value(certificate, x509.CRLDistributionPoints)
    except Exception:
        return Urls(refused=("has extensions that cannot be read",))
    refused: dict[int, str] = {}
    found: list[str] = []
    for point in points or ():
        problem = _problem(point)
        if problem:
            refused.setdefault(_POINT, f"names a CRL distribution point {problem}")
        else:
            found += _uris(point.full_name or ())
    return _bounded(found, refused)


def _problem(point: x509.DistributionPoint) -> str:
    if point.reasons is not None:
        return "for some reasons only, which is not supported"
    if point.crl_issuer is not None:
        return "with CRLs of another issuer (indirect), which is not supported"
    if point.relative_name is not None:
        return "with a relative name, which is not supported"
    return ""


def _uris(names: Iterable[x509.GeneralName]) -> Iterator[str]:
    for each in names:
        if isinstance(each, x509.UniformResourceIdentifier):
            yield each.value


def _bounded(found: Iterable[str], refused: dict[int, str]) -> Urls:
    urls: list[str] = []
    for url in dict.fromkeys(found):
        if url[:7].lower() != "http://":
            refused.setdefault(_NOT_HTTP, f"names the URL {quoted(url)}, which is not http://")
        elif len(url) > MAX_LENGTH:
            refused.setdefault(_TOO_LONG, f"names a URL of more than {MAX_LENGTH} characters")
        elif len(urls) >= MAX_URLS:
            refused.setdefault(
                _TOO_MANY, f"names more than {MAX_URLS} URLs; only the first are asked"
            )
        else:
            urls.append(url)
    return Urls(tuple(urls), tuple(text for _, text in sorted(refused.items())))


def _value(certificate: x509.Certificate, kind: type[T]) -> T | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
