"""What a site asks of client certificates; made once, and never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from cryptography import x509
from cryptography.x509.verification import (
    ClientVerifier,
    ExtensionPolicy,
    PolicyBuilder,
    Store,
)

from kssl.config.errors import ConfigError
from kssl.fastpath.verifier.rules.crl import Crl, CrlSet
from kssl.fastpath.verifier.rules.names import directory_constraint
from kssl.fastpath.verifier.rules.profile import extension_policies
from kssl.fastpath.verifier.rules.reach import MAX_CHECKS, BySubject, reach
from kssl.fastpath.verifier.rules.rules import Rules

# CAs between the client's certificate and the trust anchor.
DEFAULT_DEPTH = 10
MAX_DEPTH = 32
# Of signatures, when a policy is made: the files are the operator's.
_CHECKS_ONCE = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Policy:
    """Get it from `prepare`.

    anchors: certificates that are trusted because they are here, self-signed or not. A path ends
        at the first of them; an intermediate CA in the trust store needs no issuer. Their dates,
        extensions and key still count.
    intermediates: what may stand between, as if the client had presented it.
    usage_check: off as with http.sys's ``usagecheck=0``.
    crls: None: revocation is not checked. Otherwise it must be known of every certificate below
        the anchor, as IIS has it.
    freshness: how old a revocation list may be by its thisUpdate; None: until its nextUpdate.
    """

    anchors: frozenset[x509.Certificate]
    intermediates: tuple[x509.Certificate, ...]
    usage_check: bool
    max_depth: int
    crls: CrlSet | None
    freshness: timedelta | None
    rules: Rules
    anchors_by_subject: BySubject = field(repr=False)
    intermediates_by_subject: BySubject = field(repr=False)
    _vouched: BySubject = field(repr=False)  # anchors, and the intermediates that they vouch for
    _known: frozenset[x509.Certificate] = field(repr=False)  # the same, to be looked up
    _reached: tuple[x509.Certificate, ...] = field(repr=False)  # these intermediates
    _unreached: tuple[x509.Certificate, ...] = field(repr=False)  # and the others
    _store: Store | None = field(repr=False)  # None: no anchors
    _extensions: tuple[ExtensionPolicy, ExtensionPolicy] = field(repr=False)

    @classmethod
    def prepare(
        cls,
        anchors: Iterable[x509.Certificate],
        intermediates: Iterable[x509.Certificate] = (),
        *,
        usage_check: bool = True,
        max_depth: int = DEFAULT_DEPTH,
        crls: CrlSet | None = None,
        freshness: int = 0,
        allow: Sequence[str] = (),
        deny: Sequence[str] = (),
    ) -> Policy:
        """`freshness` is revocationfreshnesstime in seconds, 0: no limit. Raises ConfigError."""
        if not 0 <= max_depth <= MAX_DEPTH:
            raise ConfigError(
                f"{max_depth} is no depth: from 0 to {MAX_DEPTH} CAs may stand between a "
                "client's certificate and the trust store"
            )
        if freshness < 0:
            raise ConfigError(f"revocationfreshnesstime {freshness} is negative; 0: no limit")
        trusted = list(dict.fromkeys(anchors))
        between = [each for each in dict.fromkeys(intermediates) if each not in trusted]
        anchored = by_subject(trusted)
        # The verifier would give up at such constraints, even with another path beside.
        usable = [each for each in between if directory_constraint(each) is None]
        reached = reach(usable, anchored, _CHECKS_ONCE)
        return cls(
            anchors=frozenset(trusted),
            intermediates=tuple(between),
            usage_check=usage_check,
            max_depth=max_depth,
            crls=crls,
            freshness=timedelta(seconds=freshness) if freshness else None,
            rules=Rules.parse(allow, deny),
            anchors_by_subject=anchored,
            intermediates_by_subject=by_subject(between),
            _vouched=by_subject([*trusted, *reached]),
            _known=frozenset([*trusted, *reached]),
            _reached=tuple(reached),
            _unreached=tuple(each for each in usable if each not in reached),
            _store=Store(trusted) if trusted else None,
            _extensions=extension_policies(usage_check),
        )

    def extended(
        self, intermediates: Iterable[x509.Certificate] = (), crls: Iterable[Crl] = ()
    ) -> Policy:
        """The same with more of both, for one verdict.

        They may be strangers': nothing is checked before there is a verdict, which has its limits.
        Without a check of revocation, `crls` change nothing. Raises ConfigError: too many CRLs.
        """
        known = self.anchors.union(self.intermediates)
        more = [each for each in dict.fromkeys(intermediates) if each not in known]
        usable = [each for each in more if directory_constraint(each) is None]
        between = (*self.intermediates, *more)
        lists = self.crls
        if lists is not None:
            lists = CrlSet.of([*(each for them in lists.lists.values() for each in them), *crls])
        return replace(
            self,
            intermediates=between,
            intermediates_by_subject=by_subject(between),
            crls=lists,
            _unreached=(*self._unreached, *usable),
        )

    def issuers(
        self, leaf: x509.Certificate, others: Iterable[x509.Certificate]
    ) -> list[x509.Certificate] | None:
        """The CAs between that are worth a look; None: none of them, nor an anchor, can have issued
        `leaf`, which is no anchor either."""
        fresh = [each for each in others if each not in self._known]
        found = reach([*fresh, *self._unreached], self._vouched, MAX_CHECKS)
        if (
            leaf in self.anchors
            or leaf.issuer in self._vouched
            or any(leaf.issuer == each.subject for each in found)
        ):
            return [*found, *self._reached]
        return None

    def verifier(self, now: datetime) -> ClientVerifier:
        """To be asked only if `issuers` has found some, so there are anchors."""
        assert self._store is not None
        ca, leaf = self._extensions
        builder = PolicyBuilder().store(self._store).time(now).max_chain_depth(self.max_depth)
        return builder.extension_policies(ca_policy=ca, ee_policy=leaf).build_client_verifier()


def by_subject(certificates: Iterable[x509.Certificate]) -> BySubject:
    found: dict[x509.Name, list[x509.Certificate]] = {}
    for certificate in certificates:
        found.setdefault(certificate.subject, []).append(certificate)
    return MappingProxyType({name: tuple(them) for name, them in found.items()})
