"""What the trust store vouches for, directly or through others; only that is looked at further.

The verifier searches upwards, from what a client made up, and gives up after 128 signatures and a
million name constraints: a tenth of a second for anybody who asks. Searched downwards first, it is
only those whom an anchor has made a CA that can make us work; to all others it is one signature for
each certificate that they present.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cryptography import x509

from kssl.fastpath.verifier.rules.profile import is_ca

BySubject = Mapping[x509.Name, tuple[x509.Certificate, ...]]

# Of one search at a verdict; four for each certificate that may be presented.
MAX_CHECKS = 128


def reach(
    candidates: Iterable[x509.Certificate], known: BySubject, checks: int
) -> list[x509.Certificate]:
    """Those CAs of `candidates` that have been signed by one of `known`, or by one of these.

    After so many `checks` of signatures, the rest counts as not reached.
    """
    waiting: dict[x509.Name, list[x509.Certificate]] = {}
    for candidate in candidates:
        if is_ca(candidate):
            waiting.setdefault(candidate.issuer, []).append(candidate)
    issuers = [each for name in waiting for each in known.get(name, ())]
    reached: list[x509.Certificate] = []
    while issuers:
        issuer = issuers.pop()
        left = []
        for candidate in waiting.get(issuer.subject, ()):
            checks -= 1
            if checks < 0:
                return reached
            if signed(candidate, issuer):
                reached.append(candidate)
                issuers.append(candidate)
            else:
                left.append(candidate)
        waiting[issuer.subject] = left
    return reached


def signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # whatever a stranger's key makes of it: it was not
        return False
    return True
