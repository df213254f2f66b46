"""What a URL of a certificate led to: one certificate or several, and who of them is the issuer."""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

from kssl.config import foreign
from kssl.fastpath.verifier.rules.names import dn_text, shown
from kssl.fastpath.verifier.rules.presented import unusable
from kssl.fastpath.verifier.rules.reach import signed

# Certificates that are looked at of one body. Bundles of CAs hold two or three.
MAX_BUNDLE = 32
# Of signatures, at one search. Certificates of one name: renewed ones, cross certificates.
MAX_CHECKS = 8


def certificates_in(body: bytes, *, pem: bool, signed_data: bool) -> list[x509.Certificate]:
    """`signed_data`: as PKCS#7 (RFC 5652 §5), a bag of certificates.

    At most `MAX_BUNDLE`, those with names that can be read; []: nothing of use is there.
    """
    none: list[x509.Certificate] = []
    found = foreign.attempt(lambda: _parsed(body, pem=pem, signed_data=signed_data), none)
    return [each for each in found[:MAX_BUNDLE] if _readable(each)]


def _parsed(body: bytes, *, pem: bool, signed_data: bool) -> list[x509.Certificate]:
    if signed_data:
        load = pkcs7.load_pem_pkcs7_certificates if pem else pkcs7.load_der_pkcs7_certificates
        return load(body)
    return x509.load_pem_x509_certificates(body) if pem else [x509.load_der_x509_certificate(body)]


def _readable(certificate: x509.Certificate) -> bool:
    return foreign.attempt(
        lambda: bool((dn_text(certificate.subject), dn_text(certificate.issuer))), False
    )


def issuers_among(
    certificate: x509.Certificate, candidates: Iterable[x509.Certificate]
) -> tuple[list[x509.Certificate], str]:
    """Those that have signed `certificate`; if none, why the last one that has the name is none."""
    found: list[x509.Certificate] = []
    why = ""
    checks = MAX_CHECKS
    for each in candidates:
        if each.subject != certificate.issuer:
            continue
        # Before the signature, as the time for one depends on the key.
        problem = unusable(each)
        if problem:
            why = f"{shown(each.subject)} {problem}"
            continue
        checks -= 1
        if checks < 0:
            break
        if signed(certificate, each):
            found.append(each)
        else:
            why = f"{shown(each.subject)} has the name of the issuer, but did not sign it"
    return found, "" if found else why
