"""What the sites ask of client certificates: settings and files → `Policy`, ready to judge by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from cryptography import x509

from kssl.config.client_certificates import ClientCertificates
from kssl.config.errors import ConfigError
from kssl.fastpath.verifier.fetch import Allowed
from kssl.fastpath.verifier.rules.crl import Crl, CrlSet
from kssl.fastpath.verifier.rules.policy import Policy, by_subject
from kssl.fastpath.verifier.rules.reach import reach
from kssl.fastpath.verifier.rules.rules import parse_rule
from kssl.fastpath.verifier.rules.trust import load_certificates, load_crls

T = TypeVar("T")

ALLOWED_SETTING = "UrlRetrievalAllowed"
# CAs that one site has learned since its settings were read. Who can make more of them is a CA
# that the site trusts.
MAX_LEARNED = 500
# Of signatures, for the kept CAs that have to do with a site.
_MAX_CHECKS = 10_000


class UnusableError(ConfigError):
    """`problems`: everything that is wrong, a line each. ``str()`` is one line."""

    def __init__(self, problems: Sequence[str]) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(problems[0] + more)
        self.problems = tuple(problems)


class Site:
    """What is behind the name of one policy. Several sites of the configuration may share it.

    ``policy`` is replaced by another when something has been learned; threads may read it.
    """

    def __init__(self, wanted: ClientCertificates, policy: Policy) -> None:
        self.wanted = wanted
        self.policy = policy
        self._own = policy  # without CRLs that were fetched
        self._learned: dict[x509.Certificate, None] = {}
        self._lists: tuple[Crl, ...] = ()

    def learn_issuers(self, certificates: Sequence[x509.Certificate]) -> None:
        """CAs that have led to a trusted one; the last `MAX_LEARNED` are kept in mind."""
        new = [each for each in certificates if each not in self.policy.intermediates]
        if not new:
            return
        between = [each for each in self._own.intermediates if each not in self._learned]
        self._learned.update(dict.fromkeys(new))
        while len(self._learned) > MAX_LEARNED:
            del self._learned[next(iter(self._learned))]
        anchors = list(self._own.anchors)
        self._own = _policy(self.wanted, anchors, [*between, *self._learned], self._own.crls)
        self.policy = self._own.extended(crls=self._lists)

    def learn_lists(self, lists: Sequence[Crl]) -> None:
        """All that were fetched. Raises ConfigError: too many."""
        self.policy = self._own.extended(crls=lists)
        self._lists = tuple(lists)


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that the verifier is told, usable. ``sites``: by `ClientCertificates.policy`; so is
    ``broken``, the sites whose files cannot be used, and why: nobody gets in there."""

    retrieve_issuers: bool
    allowed: Allowed
    sites: Mapping[str, Site]
    broken: Mapping[str, str] = field(default_factory=dict)

    @property
    def freshness(self) -> timedelta | None:
        """The shortest of all sites; None: no site has one."""
        found = [site.policy.freshness for site in self.sites.values()]
        return min((each for each in found if each is not None), default=None)


def load(told: Mapping[str, Any], kept: Sequence[x509.Certificate] = ()) -> Loaded:
    """``told``: see `kssl.config.routing.verifier_settings`. Raises UnusableError: all that is
    wrong."""
    loaded = restore(told, kept)
    if loaded.broken:
        raise UnusableError([line for text in loaded.broken.values() for line in text.split("\n")])
    return loaded


def restore(told: Mapping[str, Any], kept: Sequence[x509.Certificate] = ()) -> Loaded:
    """As `load`, for a verifier that replaces one that died: the sites whose files cannot be used
    are left out, and the others judged as ever. Raises UnusableError: what is no site's."""
    problems = _Problems()
    broken: dict[str, str] = {}
    allowed = problems.none_in(lambda: Allowed.of(told["allowed"], setting=ALLOWED_SETTING))
    sites: dict[str, Site] = {}
    for name, text in told["policies"].items():
        wanted = ClientCertificates.from_json(text)
        try:
            sites[name] = Site(wanted, prepare(wanted, kept))
        except UnusableError as error:
            where = f"site {told['sites'][name]}: "
            broken[name] = "\n".join(where + each for each in error.problems)
    if allowed is None:
        problems.extend([line for text in broken.values() for line in text.split("\n")])
    problems.check()
    assert allowed is not None
    return Loaded(bool(told["retrieve_issuers"]), allowed, sites, broken)


def prepare(wanted: ClientCertificates, kept: Sequence[x509.Certificate] = ()) -> Policy:
    """Reads the files of ``wanted``; ``kept``: intermediates beside those of its own, of which
    those count that they lead to.

    Raises:
        UnusableError: files that cannot be used, rules that are none; all of them are named, by
            the keys of kssl.toml.
    """
    problems = _Problems()
    anchors = problems.none_in(lambda: load_certificates(wanted.ca, "client_ca"))
    own: Sequence[x509.Certificate] | None = ()
    if (between := wanted.intermediates) is not None:
        own = problems.none_in(lambda: load_certificates(between, "client_intermediates"))
    for key, rules in (("client_cert_allow", wanted.allow), ("client_cert_deny", wanted.deny)):
        for text in rules:
            problems.none_in(partial(parse_rule, text), f"{key}: ")
    crls = _crls(wanted, problems) if wanted.revocation else None
    problems.check()
    assert anchors is not None
    assert own is not None
    reached = reach(kept, by_subject([*anchors, *own]), _MAX_CHECKS)
    policy = problems.none_in(
        lambda: _policy(wanted, anchors, [*own, *reached], crls), f"client_ca {wanted.ca}: "
    )
    problems.check()
    assert policy is not None
    return policy


def _policy(
    wanted: ClientCertificates,
    anchors: Iterable[x509.Certificate],
    intermediates: Iterable[x509.Certificate],
    crls: CrlSet | None,
) -> Policy:
    """Raises ConfigError."""
    return Policy.prepare(
        anchors,
        intermediates,
        usage_check=wanted.usage_check,
        max_depth=wanted.max_depth,
        crls=crls,
        freshness=wanted.freshness,
        allow=wanted.allow,
        deny=wanted.deny,
    )


def _crls(wanted: ClientCertificates, problems: _Problems) -> CrlSet | None:
    """One file at a time, so that each bad one is told."""
    lists: list[Crl] = []
    for path in wanted.crls:
        found = problems.none_in(partial(load_crls, [path], "client_crls"))
        if found is not None:
            lists += [crl for them in found.lists.values() for crl in them]
    return problems.none_in(lambda: CrlSet.of(lists), "client_crls: ")


class _Problems:
    """Collects them, each once: sites share files."""

    def __init__(self) -> None:
        self._found: dict[str, None] = {}

    def none_in(self, make: Callable[[], T], before: str = "") -> T | None:
        """What ``make`` returns; None: it raised ConfigError, which is collected."""
        try:
            return make()
        except ConfigError as error:
            self._found[f"{before}{error}"] = None
            return None

    def extend(self, problems: Sequence[str]) -> None:
        self._found.update(dict.fromkeys(problems))

    def check(self) -> None:
        """Raises UnusableError if there are any."""
        if self._found:
            raise UnusableError(list(self._found))
