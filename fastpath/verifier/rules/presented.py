"""What a client presents: DER of strangers, with limits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509

from kssl.config import foreign
from kssl.fastpath.verifier.rules.bulk import bulk
from kssl.fastpath.verifier.rules.fingerprints import sealed
from kssl.fastpath.verifier.rules.names import directory_constraint, dn_text, shown
from kssl.fastpath.verifier.rules.profile import issuer_key_fault

# Certificates. Real chains have two to four; OpenSSL takes 100 KiB of them by default.
MAX_PRESENTED = 32
MAX_CERTIFICATE = 1 << 16  # bytes of one
MAX_TOTAL = 1 << 18  # bytes of all
# Of all together, as each costs time; real certificates have some 200 bytes and ten extensions.
MAX_NAMES = 1 << 14  # bytes of issuers and subjects
MAX_EXTENSIONS = 512


class MalformedError(Exception):
    """What cannot be judged at all; `str()` is a sentence."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """`problem` follows the subject: "has an RSA key of 1024 bits, …"."""

    certificate: x509.Certificate
    problem: str


@dataclass(frozen=True, slots=True)
class Presented:
    """The client's certificate, those that may lead to its issuer, and those that cannot."""

    leaf: x509.Certificate
    others: tuple[x509.Certificate, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(
            f"presented, but left out: {shown(each.certificate.subject)} {each.problem}"
            for each in self.left_out
        )


def parse(presented: Sequence[bytes]) -> Presented:
    """`presented`: DER, the client's own first. Raises MalformedError.

    Duplicates are dropped. An additional certificate that cannot issue anything is left out of the
    search, because clients send strange ones along, and what is not used need not be right.
    """
    if len(presented) > MAX_PRESENTED:
        raise MalformedError(
            f"the client presented {len(presented)} certificates; "
            f"at most {MAX_PRESENTED} are looked at"
        )
    if sum(map(len, presented)) > MAX_TOTAL:
        raise MalformedError(
            f"the certificates presented have more than {MAX_TOTAL // 1024} KiB together"
        )
    distinct = dict.fromkeys(presented)
    _check_bulk(distinct)
    certificates = [_parse(der, number) for number, der in enumerate(distinct, 1)]
    leaf, *others = certificates
    usable, left_out = [], []
    for certificate in others:
        problem = unusable(certificate)
        if problem:
            left_out.append(LeftOut(certificate, problem))
        else:
            usable.append(certificate)
    return Presented(leaf, tuple(usable), tuple(left_out))


def _check_bulk(presented: Iterable[bytes]) -> None:
    names = extensions = 0
    for number, der in enumerate(presented, 1):
        try:
            found = bulk(der)
        except ValueError:
            raise _malformed(number) from None
        names += found.names
        extensions += found.extensions
    if names > MAX_NAMES:
        raise MalformedError(
            f"the names in the certificates presented have more than {MAX_NAMES // 1024} KiB"
        )
    if extensions > MAX_EXTENSIONS:
        raise MalformedError(
            f"the certificates presented have more than {MAX_EXTENSIONS} extensions"
        )


def _which(number: int) -> str:
    return "the client's certificate" if number == 1 else f"presented certificate {number}"


def _malformed(number: int) -> MalformedError:
    return MalformedError(
        f"{_which(number)} is malformed: it is not DER of an X.509 certificate, or damaged"
    )


def _parse(der: bytes, number: int) -> x509.Certificate:
    if len(der) > MAX_CERTIFICATE:
        raise MalformedError(f"{_which(number)} has more than {MAX_CERTIFICATE // 1024} KiB")
    try:
        with foreign.reading():
            certificate = x509.load_der_x509_certificate(der)
            if number == 1:
                # Both are parsed on first use; find damage here.
                certificate.extensions  # noqa: B018
            dn_text(certificate.subject), dn_text(certificate.issuer)
            if not sealed(certificate, der):
                raise ValueError("unused bits in the signature")
    except foreign.UnreadableError:
        raise _malformed(number) from None
    return certificate


def unusable(certificate: x509.Certificate) -> str:
    """Why it cannot be the issuer of anything, whatever else there is; empty: it might."""
    try:
        with foreign.reading():
            certificate.extensions  # noqa: B018
            # The verifier would give up at such constraints, even with another path beside.
            fault = issuer_key_fault(certificate) or directory_constraint(certificate)
    except foreign.UnreadableError:
        return "cannot be read"
    return fault.text if fault is not None else ""
