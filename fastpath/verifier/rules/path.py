"""The path that a person would look for, when none is accepted.

This decides nothing. It walks from the client's certificate to issuers by name and signature, as
the verifier does, but without giving up at the first thing that is wrong, and picks the path of
which most can be said: one that reaches the trust store with the fewest faults, else the longest.
The walk is bounded, since a client chooses what there is to walk through.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from cryptography import x509

from kssl.fastpath.verifier.rules.policy import Policy, by_subject
from kssl.fastpath.verifier.rules.profile import ca_faults, leaf_faults, signature_fault
from kssl.fastpath.verifier.rules.reach import signed
from kssl.fastpath.verifier.rules.verdict import Fault, Source

# As many as a path of the usual depth needs, twice.
MAX_SIGNATURES = 24
MAX_VISITS = 256


class Stop(Enum):
    """Why a path does not go on."""

    TRUSTED = "trusted"
    NO_ISSUER = "no issuer"
    WRONG_KEY = "wrong key"  # a CA of the issuer's name is there, but did not sign
    CIRCLE = "circle"
    DEPTH = "depth"
    GIVEN_UP = "given up"


@dataclass(frozen=True, slots=True)
class Link:
    certificate: x509.Certificate
    source: Source
    faults: tuple[Fault, ...]  # of the certificate by itself, except its dates


@dataclass(frozen=True, slots=True)
class Path:
    """The client's certificate first."""

    links: tuple[Link, ...]
    stop: Stop

    def rank(self) -> tuple[bool, int, int]:
        """More is better."""
        trusted = self.stop is Stop.TRUSTED
        faults = sum(len(link.faults) for link in self.links)
        return trusted, -faults if trusted else len(self.links), -len(self.links)


def best_path(leaf: x509.Certificate, others: Sequence[x509.Certificate], policy: Policy) -> Path:
    return max(_Walk(others, policy).paths(leaf), key=Path.rank)


class _Walk:
    """One search, with what it may still spend."""

    def __init__(self, others: Sequence[x509.Certificate], policy: Policy) -> None:
        self._policy = policy
        self._presented = by_subject(others)
        self._signatures = MAX_SIGNATURES
        self._visits = MAX_VISITS
        # To hash a certificate takes time by its length, and the walk asks again and again: equal
        # certificates have one number, and each object is asked once.
        self._numbers: dict[x509.Certificate, int] = {}
        self._objects: dict[int, tuple[x509.Certificate, int]] = {}  # by id, and held for that
        self._links: dict[tuple[int, int], bool] = {}
        self._faults: dict[int, tuple[Fault, ...]] = {}
        self._above: dict[int, list[tuple[x509.Certificate, Source]]] = {}
        self._trusted: dict[int, bool] = {}

    def paths(self, leaf: x509.Certificate) -> Iterator[Path]:
        faults = leaf_faults(leaf, self._policy.usage_check)
        source = Source.PRESENTED
        if leaf not in self._policy.anchors:
            faults += [fault for fault in (signature_fault(leaf),) if fault is not None]
        yield from self._from((Link(leaf, source, tuple(faults)),))

    def _from(self, links: tuple[Link, ...]) -> Iterator[Path]:
        """Depth first; one path at least."""
        self._visits -= 1
        last = links[-1].certificate
        number = self._number(last)
        if number not in self._trusted:
            self._trusted[number] = last in self._policy.anchors
        if self._trusted[number]:
            yield Path(links, Stop.TRUSTED)
            return
        if self._visits < 0:
            yield Path(links, Stop.GIVEN_UP)
            return
        if number not in self._above:
            self._above[number] = list(self._candidates(last))
        candidates = self._above[number]
        stop = Stop.WRONG_KEY if candidates else Stop.NO_ISSUER
        used = {self._number(link.certificate) for link in links}
        gone_on = False
        for certificate, source in candidates:
            if (above := self._number(certificate)) in used:
                # A self-signed certificate names itself, which is no circle.
                stop = Stop.CIRCLE if above != number else Stop.NO_ISSUER
            elif len(links) > self._policy.max_depth and source is not Source.TRUST:
                stop = Stop.DEPTH
            elif self._visits < 0:
                stop = Stop.GIVEN_UP
            elif self._issued(last, certificate):
                gone_on = True
                link = Link(certificate, source, self._ca_faults(certificate, source))
                yield from self._from((*links, link))
        if not gone_on:
            yield Path(links, stop)

    def _number(self, certificate: x509.Certificate) -> int:
        known = self._objects.get(id(certificate))
        if known is None:
            number = self._numbers.setdefault(certificate, len(self._numbers))
            known = self._objects[id(certificate)] = (certificate, number)
        return known[1]

    def _candidates(self, of: x509.Certificate) -> Iterator[tuple[x509.Certificate, Source]]:
        for source, known in (
            (Source.TRUST, self._policy.anchors_by_subject),
            (Source.PRESENTED, self._presented),
            (Source.INTERMEDIATES, self._policy.intermediates_by_subject),
        ):
            for certificate in known.get(of.issuer, ()):
                yield certificate, source

    def _issued(self, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
        key = (self._number(certificate), self._number(issuer))
        if key not in self._links:
            if signature_fault(certificate) is not None:
                # Not to be checked, or not worth it: the fault is told, and the name is followed.
                self._links[key] = True
            elif self._signatures <= 0:
                return False
            else:
                self._signatures -= 1
                self._links[key] = signed(certificate, issuer)
        return self._links[key]

    def _ca_faults(self, certificate: x509.Certificate, source: Source) -> tuple[Fault, ...]:
        number = self._number(certificate)
        if number not in self._faults:
            try:
                faults = ca_faults(certificate, self._policy.usage_check)
            except Exception:
                faults = []
            if source is not Source.TRUST and (weak := signature_fault(certificate)) is not None:
                faults.append(weak)
            self._faults[number] = tuple(faults)
        return self._faults[number]
