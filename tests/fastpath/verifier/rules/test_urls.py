"""The URLs that a certificate names."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID

from kssl.fastpath.verifier.rules.urls import MAX_LENGTH, Urls, crl_urls, issuer_urls
from tests.fastpath.verifier.retrieving import aia, points
from tests.fastpath.verifier.rules.pki import Extension, name, self_signed


def of(*extensions: Extension) -> x509.Certificate:
    return self_signed("a", *extensions).certificate


def point(**what: object) -> x509.DistributionPoint:
    every = {"full_name": None, "relative_name": None, "reasons": None, "crl_issuer": None}
    return x509.DistributionPoint(**{**every, **what})  # type: ignore[arg-type]


URI = [x509.UniformResourceIdentifier("http://a/1.crl")]


def test_none() -> None:
    assert issuer_urls(of()) == crl_urls(of()) == Urls()


def test_in_order_and_once() -> None:
    urls = ("http://b/1", "HTTP://A/2", "http://b/3")
    assert issuer_urls(of(aia(*urls, "http://b/1"))) == Urls(urls)
    assert crl_urls(of(points(*urls, "http://b/1"))) == Urls(urls)


def test_ocsp_and_other_names_are_not_asked() -> None:
    access = x509.AuthorityInformationAccess(
        [
            x509.AccessDescription(method, where)
            for method, where in (
                (AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier("http://o/")),
                (AuthorityInformationAccessOID.CA_ISSUERS, x509.DirectoryName(name("x"))),
                (
                    AuthorityInformationAccessOID.CA_ISSUERS,
                    x509.UniformResourceIdentifier("http://i/"),
                ),
            )
        ]
    )
    assert issuer_urls(of((access, False))) == Urls(("http://i/",))


@pytest.mark.parametrize(("read", "written"), [(issuer_urls, aia), (crl_urls, points)])
def test_bounds(
    read: Callable[[x509.Certificate], Urls], written: Callable[..., Extension]
) -> None:
    longest = "http://a/" + "x" * (MAX_LENGTH - 9)
    found = read(
        of(written("ldap:///CN=x", "https://a/", "file:///a", longest + "x", longest,
                   *(f"http://a/{number}" for number in range(5))))
    )  # fmt: skip
    assert found.urls == (longest, "http://a/0", "http://a/1", "http://a/2")
    assert found.refused == (
        "names the URL 'ldap:///CN=x', which is not http://",
        "names a URL of more than 2048 characters",
        "names more than 4 URLs; only the first are asked",
    )


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (
            point(full_name=URI, reasons=frozenset([x509.ReasonFlags.key_compromise])),
            "for some reasons only",
        ),
        (point(full_name=URI, crl_issuer=[x509.DirectoryName(name("x"))]), "(indirect)"),
        (
            point(relative_name=x509.RelativeDistinguishedName(name("x").rdns[0])),
            "a relative name",
        ),
    ],
)
def test_points_that_are_refused(odd: x509.DistributionPoint, why: str) -> None:
    alone = crl_urls(of((x509.CRLDistributionPoints([odd]), False)))
    assert alone.urls == ()
    assert why in alone.refused[0]
    both = crl_urls(of((x509.CRLDistributionPoints([odd, point(full_name=URI)]), False)))
    assert both == Urls(("http://a/1.crl",), alone.refused)


def test_extensions_that_cannot_be_read() -> None:
    broken = x509.UnrecognizedExtension(ExtensionOID.AUTHORITY_INFORMATION_ACCESS, b"\x05\0")
    refused = Urls(refused=("has extensions that cannot be read",))
    assert issuer_urls(of((broken, False))) == refused
    assert crl_urls(of((broken, False))) == refused
