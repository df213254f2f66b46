"""A web of certificates in memory, and how to ask for a verdict with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from kssl.fastpath.verifier.fetch import Fetched, FetchError, Kind
from kssl.fastpath.verifier.fetch.content import sniff
from kssl.fastpath.verifier.fetch.errors import FetchFailure
from kssl.fastpath.verifier.retrieval import Budget, Retrieval, retrieve
from kssl.fastpath.verifier.rules.policy import Policy
from tests.fastpath.verifier.rules.pki import NOW, Extension, Made


def aia(*urls: str) -> Extension:
    issuers = [
        x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(url)
        )
        for url in urls
    ]
    return x509.AuthorityInformationAccess(issuers), False


def points(*urls: str) -> Extension:
    """One distribution point for each."""
    return x509.CRLDistributionPoints(
        [
            x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
            for url in urls
        ]
    ), False


@dataclass
class Web:
    """Bodies by URL; what is not there is a 404. Each request takes `slow` seconds of `time`."""

    bodies: Mapping[str, bytes] = field(default_factory=dict)
    slow: float = 0.0
    time: float = 1000.0
    asked: list[str] = field(default_factory=list)
    left: list[float] = field(default_factory=list)

    def certificates(self, url: str, seconds: float) -> Fetched:
        return self._get(url, Kind.CERTIFICATE, seconds)

    def crls(self, url: str, seconds: float) -> Fetched:
        return self._get(url, Kind.CRL, seconds)

    def _get(self, url: str, kind: Kind, seconds: float) -> Fetched:
        self.asked.append(url)
        self.left.append(seconds)
        self.time += self.slow
        if "bug" in url:
            raise ZeroDivisionError
        body = self.bodies.get(url)
        if body is None:
            raise FetchError(url, "answers 404")
        try:
            return Fetched(body, sniff(body, kind), 300.0)
        except FetchFailure as failure:
            raise FetchError(url, str(failure)) from None

    def judge(
        self, *presented: Made | bytes, policy: Policy, budget: Budget | None = None
    ) -> Retrieval:
        result = retrieve(
            [each if isinstance(each, bytes) else each.der for each in presented],
            policy, NOW, self.certificates, self.crls, clock=lambda: self.time, budget=budget,
        )  # fmt: skip
        assert all(note.isprintable() for note in result.notes)
        return result

    def without(self, *urls: str) -> Web:
        """The same with less, and nothing asked."""
        left = {url: body for url, body in self.bodies.items() if url not in urls}
        return replace(self, bodies=left, asked=[], left=[])
