"""The verdict on a client's certificate, with what is missing fetched from where certificates say.

    judge ── an issuer is missing? ── its URL (authorityInfoAccess) ── judge again
          ── trusted, and a revocation list is missing? ── its URL (CRL distribution point) ── again

Blocks: for a thread, never for an event loop. What comes is used only if it is signed by whom it
must be; so whoever answers can withhold something, but never turn a no into a yes. CRLs are asked
for below a trusted anchor only: a stranger's chain is worth four requests and not twelve.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kssl.config import foreign
from kssl.config.errors import ConfigError
from kssl.fastpath.verifier.fetch.asker import Asker, Deadline, Get
from kssl.fastpath.verifier.fetch.content import Form
from kssl.fastpath.verifier.fetch.errors import shown as shown_url
from kssl.fastpath.verifier.fetch.fetcher import Fetched
from kssl.fastpath.verifier.fetch.limits import Kind
from kssl.fastpath.verifier.rules.bundles import certificates_in, issuers_among
from kssl.fastpath.verifier.rules.crl import Crl, der_of_pem
from kssl.fastpath.verifier.rules.judge import judge
from kssl.fastpath.verifier.rules.names import dn_text, serial_of, shown
from kssl.fastpath.verifier.rules.path import Stop, best_path
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.presented import Presented, parse
from kssl.fastpath.verifier.rules.revocation import State, status
from kssl.fastpath.verifier.rules.urls import crl_urls, issuer_urls
from kssl.fastpath.verifier.rules.verdict import Outcome, Source, Step, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Of one verdict: URLs that are asked, and seconds for all of them."""

    certificates: int = 4
    crls: int = 8
    seconds: float = 20.0


@dataclass(frozen=True, slots=True)
class Found:
    """What came and was of use. `size`: bytes. `what`: "the issuer 'CN=Foo CA' of 'CN=alice'"."""

    url: str
    kind: Kind
    size: int
    what: str


@dataclass(frozen=True, slots=True)
class FoundList:
    """A CRL that came, read and signed by ``issuer``. ``size``: bytes of its DER, about."""

    url: str
    size: int
    crl: Crl = field(repr=False)
    issuer: x509.Certificate = field(repr=False)


@dataclass(frozen=True, slots=True)
class Retrieval:
    """intermediates: DER of the CAs that came, whether they lead to a trusted one or not.

    lists: the CRLs among `fetched`. useless: URLs at which something came that was of no use.

    notes: printable sentences: what could not be fetched, or was of no use. They tell of our
        network, and must not be shown to the client.
    """

    verdict: Verdict
    fetched: tuple[Found, ...] = ()
    intermediates: tuple[bytes, ...] = field(default=(), repr=False)
    notes: tuple[str, ...] = ()
    lists: tuple[FoundList, ...] = field(default=(), repr=False)
    useless: tuple[tuple[str, Kind], ...] = ()


def lists_missing(verdict: Verdict, policy: Policy, now: datetime) -> bool:
    """Whether ``verdict`` refuses because nobody can tell, so that a CRL may change it."""
    if verdict.outcome is not Outcome.REVOKED or policy.crls is None:
        return False
    states = [_state(policy, *each, now) for each in pairwise(verdict.chain)]
    return State.UNKNOWN in states and State.REVOKED not in states


def retrieve(
    presented: Sequence[bytes],
    policy: Policy,
    now: datetime,
    certificates: Get,
    crls: Get,
    *,
    clock: Callable[[], float] = time.monotonic,
    budget: Budget | None = None,
    read: Callable[[bytes, str], Crl] = Crl.parse,
) -> Retrieval:
    """As `judge`, but asks `certificates` and `crls` for what is missing.

    `clock`: seconds of a clock that never goes back; `now` is the time of the verdict. `read`: as
    `Crl.parse`, which it may do less often. Never raises for what is presented or fetched. Nothing
    is fetched for a certificate that is malformed.
    """
    budget = Budget() if budget is None else budget
    verdict = judge(presented, policy, now)
    if verdict.identity is None:
        return Retrieval(verdict)
    deadline = Deadline(clock, budget.seconds)
    issuers = _Issuers(policy, Asker(certificates, Kind.CERTIFICATE, budget.certificates, deadline))
    if not verdict.chain and issuers.complete(_parsed(presented)):
        policy = issuers.policy
        verdict = judge(presented, policy, now)
    lists = _Lists(policy, now, Asker(crls, Kind.CRL, budget.crls, deadline), read)
    if verdict.outcome is Outcome.REVOKED and lists.complete(verdict.chain):
        verdict = judge(presented, lists.policy, now)
    return Retrieval(
        _with_sources(verdict, issuers.new),
        (*issuers.found, *lists.found),
        tuple(each.public_bytes(Encoding.DER) for each in issuers.new),
        (*issuers.asker.notes, *lists.asker.notes),
        tuple(lists.lists),
        (*issuers.useless, *lists.useless),
    )


def _parsed(presented: Sequence[bytes]) -> Presented:
    """What `judge` could read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as there
        return parse(presented)


def _with_sources(verdict: Verdict, new: Sequence[x509.Certificate]) -> Verdict:
    """To `judge` they were intermediates as others are."""
    keys = {(dn_text(each.issuer), serial_of(each)) for each in new}

    def named(step: Step) -> Step:
        if step.source is Source.INTERMEDIATES and (step.issuer, step.serial) in keys:
            return replace(step, source=Source.FETCHED)
        return step

    return replace(verdict, steps=tuple(map(named, verdict.steps)))


class _Issuers:
    """Certificates between the client's and a trusted one."""

    def __init__(self, policy: Policy, asker: Asker) -> None:
        self.policy = policy
        self.asker = asker
        self.found: list[Found] = []
        self.new: list[x509.Certificate] = []
        self.useless: list[tuple[str, Kind]] = []
        # All that came: a bundle may hold the next issuer too.
        self._bundle: dict[x509.Certificate, None] = {}

    def complete(self, presented: Presented) -> bool:
        """Whether there is something new."""
        known = {presented.leaf, *presented.others}
        for _ in range(self.policy.max_depth):
            last = self._end(presented)
            more = self._issuers(last, known) if last is not None else []
            if not more:
                break
            self.new += more
            self.policy = self.policy.extended(more)
        return bool(self.new)

    def _end(self, presented: Presented) -> x509.Certificate | None:
        """The last certificate of the path, if its issuer is missing and may be there at all."""
        try:
            path = best_path(presented.leaf, presented.others, self.policy)
        except Exception as strange:  # `judge` says what it can; here it only ends the search
            kind = type(strange).__name__
            self.asker.note(f"no issuer was looked for, as the path cannot be followed ({kind})")
            return None
        last = path.links[-1].certificate
        # A second key of a CA is not worth a request for each self-signed certificate.
        missing = path.stop in (Stop.NO_ISSUER, Stop.WRONG_KEY) and last.subject != last.issuer
        if missing and len(path.links) > self.policy.max_depth:
            self.asker.note(
                f"the issuer of {shown(last.subject)} was not asked for: the path would have more "
                f"than {self.policy.max_depth} CAs"
            )
            return None
        return last if missing else None

    def _issuers(
        self, of: x509.Certificate, known: set[x509.Certificate]
    ) -> list[x509.Certificate]:
        """Those that are new."""
        seen = known.union(self.policy.intermediates, self.policy.anchors)
        found, _ = issuers_among(of, (each for each in self._bundle if each not in seen))
        if found:
            return found
        name = shown(of.subject)
        urls = issuer_urls(of)
        for each in urls.refused:
            self.asker.note(f"{name} {each}")
        if not urls.urls:
            self.asker.note(
                f"{name} does not say where its issuer's certificate is (no http:// URL in "
                "authorityInfoAccess)"
            )
        for url in urls.urls:
            fetched = self.asker.ask(url)
            if fetched is None:
                continue
            came = _certificates(fetched)
            self._bundle.update(dict.fromkeys(came))
            found, why = issuers_among(of, (each for each in came if each not in seen))
            if found:
                what = f"the issuer {shown(found[0].subject)} of {name}"
                self.found.append(Found(url, Kind.CERTIFICATE, len(fetched.body), what))
                return found
            why = why or _useless(came)
            self.useless.append((url, Kind.CERTIFICATE))
            self.asker.note(f"{shown_url(url)}: {why}; it is not the issuer of {name}")
        return []


def _certificates(fetched: Fetched) -> list[x509.Certificate]:
    pem = fetched.form in (Form.PEM, Form.PKCS7_PEM)
    signed_data = fetched.form in (Form.PKCS7_DER, Form.PKCS7_PEM)
    return certificates_in(fetched.body, pem=pem, signed_data=signed_data)


def _useless(came: Sequence[x509.Certificate]) -> str:
    if not came:
        return "what came is no certificate that can be read"
    return f"the certificate of {shown(came[0].subject)} came"


class _Lists:
    """Revocation lists for a path that is trusted otherwise."""

    def __init__(
        self, policy: Policy, now: datetime, asker: Asker, read: Callable[[bytes, str], Crl]
    ) -> None:
        self.policy = policy
        self.asker = asker
        self.found: list[Found] = []
        self.lists: list[FoundList] = []
        self.useless: list[tuple[str, Kind]] = []
        self._now = now
        self._read = read

    def complete(self, chain: Sequence[x509.Certificate]) -> bool:
        """Whether there is something new. One that is revoked ends the search."""
        pairs = list(pairwise(chain))
        if any(self._state(*each) is State.REVOKED for each in pairs):
            return False
        for certificate, issuer in pairs:
            if self._state(certificate, issuer) is State.UNKNOWN:
                self._ask(certificate, issuer)
            if self._state(certificate, issuer) is State.REVOKED:
                break
        return bool(self.found)

    def _state(self, certificate: x509.Certificate, issuer: x509.Certificate) -> State:
        return _state(self.policy, certificate, issuer, self._now)

    def _ask(self, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        """Each URL, until one tells."""
        name = shown(certificate.subject)
        urls = crl_urls(certificate)
        for each in urls.refused:
            self.asker.note(f"{name} {each}")
        if not urls.urls:
            self.asker.note(
                f"{name} does not say where its CRL is (no http:// URL in cRLDistributionPoints)"
            )
        for url in urls.urls:
            if self._state(certificate, issuer) is not State.UNKNOWN:
                return
            fetched = self.asker.ask(url)
            if fetched is None:
                continue
            try:
                crl = _crl(fetched, shown_url(url), issuer, self._read)
                self.policy = self.policy.extended(crls=[crl])
            except ConfigError as error:
                self.asker.note(str(error))
                self.useless.append((url, Kind.CRL))
            else:
                what = f"the CRL of {shown(crl.issuer)}"
                self.found.append(Found(url, Kind.CRL, len(fetched.body), what))
                self.lists.append(FoundList(url, len(fetched.body), crl, issuer))


def _state(
    policy: Policy, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
) -> State:
    if policy.crls is None:  # nothing to look for
        return State.GOOD
    return status(certificate, issuer, policy.crls, now, policy.freshness).state


def _crl(
    fetched: Fetched, where: str, issuer: x509.Certificate, read: Callable[[bytes, str], Crl]
) -> Crl:
    """`where` begins the messages. Raises ConfigError: it is none of `issuer`'s."""
    try:
        with foreign.reading():
            der = fetched.body
            if fetched.form is Form.PEM:
                der = der_of_pem(der, where)
            crl = read(der, where)
            ours = crl.issuer == issuer.subject and crl.signed_by(issuer)
            name = shown(crl.issuer)
    except foreign.UnreadableError:
        raise ConfigError(f"{where}: what came is no CRL that can be read") from None
    if not ours:
        raise ConfigError(f"{where}: the CRL that came, of {name}, is not signed by the issuer")
    return crl
