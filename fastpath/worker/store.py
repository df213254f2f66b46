"""What is served where: the certificate for a connection, by endpoint and by the client's SNI.

And what a connection to an upstream is verified with: `upstreams`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from kssl.config.devcert import address_of
from kssl.config.errors import ConfigError
from kssl.config.routing import NameTable
from kssl.fastpath.tls.errors import Alert, TlsError
from kssl.fastpath.worker.certificates import Certificates, Loaded
from kssl.fastpath.worker.contexts import Secrets, ask_for_certificate, base_context
from kssl.fastpath.worker.development import DevelopmentLeaves, SiteLeaves
from kssl.fastpath.worker.upstreams import Upstreams

log = logging.getLogger("kssl.worker")

# How often a development leaf is looked at again, so that it is renewed in time.
RECHECK = timedelta(hours=1)


class CertificatesError(Exception):
    """Certificates that cannot be used; ``problems`` has a line for each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems[0])
        self.problems = list(problems)


class UnknownEndpointError(Exception):
    """A connection came in where the present configuration has no endpoint."""


@dataclass(slots=True)
class _Entry:
    """One element of ``certificates``; see `kssl.config.routing.tls_settings`."""

    leaves: SiteLeaves
    policy: str
    names: tuple[str, ...] | None  # of a development certificate; None: a file of one's own


@dataclass(frozen=True, slots=True)
class _Refused:
    """An element of ``certificates`` that could not be loaded when a worker was replaced.

    The alert is internal_error, because it is neither the client's fault nor an unknown name
    (unrecognized_name would tell clients that the site is gone): the other names are served.
    """

    problem: str


@dataclass(frozen=True, slots=True)
class _Endpoint:
    names: NameTable[_Entry | _Refused]


class ContextStore:
    """`load` says what is served, as often as needed; `accept` and the chooser serve it."""

    def __init__(
        self,
        state_dir: Path,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        preset: str = "",
    ) -> None:
        """``preset``: the parameter TlsPreset."""
        self._now = now
        self._base = base_context(preset)
        self._certificates = Certificates()
        self._leaves = DevelopmentLeaves(state_dir, self._certificates)
        self._entries: list[_Entry] = []
        self._endpoints: list[_Endpoint] = []
        self._upstreams = Upstreams()
        self._checked = now()
        self.warnings: list[str] = []

    @property
    def ca_path(self) -> Path | None:
        """The development CA's certificate, or None if no certificate is issued by it."""
        return self._leaves.ca_path

    def restore(self, tls: Mapping[str, Any]) -> list[str]:
        """Serve what can be loaded of ``tls``; return a line for each thing that cannot.

        For a worker that replaces one that died: a file that was broken meanwhile must not take
        the other sites down. Clients of what is missing are refused, and `load` heals it.
        """
        problems: list[str] = []
        self._use(tls, problems, partly=True)
        return list(dict.fromkeys(problems))

    def load(self, tls: Mapping[str, Any]) -> None:
        """Serves what ``tls`` says (`kssl.config.routing.tls_settings`) from now on.

        Raises:
            CertificatesError: with every problem; then all stays as it was.
        """
        problems: list[str] = []
        self._use(tls, problems, partly=False)
        if problems:
            raise CertificatesError(list(dict.fromkeys(problems)))

    def _use(self, tls: Mapping[str, Any], problems: list[str], *, partly: bool) -> None:
        """Add what is wrong to ``problems``; change nothing then, unless ``partly``."""
        now = self._now()
        leaves = self._leaves.fresh()
        entries: list[_Entry | _Refused] = []
        for told in tls["certificates"]:
            entry = self._entry_or_refusal(told, leaves, now)
            entries.append(entry)
            if isinstance(entry, _Refused):
                problems.append(entry.problem)
        upstreams = self._upstreams.prepare(tls.get("upstreams", []), now, problems)
        if problems and not partly:
            return
        endpoints = [
            _Endpoint(
                NameTable(
                    ((name, entries[index]) for name, index in told["names"].items()),
                    entries[told["default"]],
                )
            )
            for told in tls["endpoints"]
        ]
        usable = [entry for entry in entries if isinstance(entry, _Entry)]
        self._entries, self._endpoints, self._leaves = usable, endpoints, leaves
        self._checked = now
        used = [each for entry in usable for each in (entry.leaves.unnamed, entry.leaves.named)]
        self._certificates.keep_only(used)
        self._upstreams.use(upstreams)
        lines = [line for loaded in used for line in loaded.warnings]
        self.warnings = list(dict.fromkeys(lines + self._upstreams.warnings))

    def _entry_or_refusal(
        self, told: Mapping[str, Any], leaves: DevelopmentLeaves, now: datetime
    ) -> _Entry | _Refused:
        try:
            return self._entry(told, leaves, now)
        except ConfigError as error:
            return _Refused(str(error))
        except Exception as bug:
            # Or one file would end the process, and with it all sites, again and again.
            which = told["certificate"] or "a development certificate"
            log.exception("internal error while loading %s", which)
            return _Refused(f"{which} cannot be loaded: internal error ({type(bug).__name__})")

    def _entry(self, told: Mapping[str, Any], leaves: DevelopmentLeaves, now: datetime) -> _Entry:
        policy = told["policy"]
        if told["certificate"] is None:
            names = tuple(told["names"])
            return _Entry(leaves.of_site(names, policy, now), policy, names)
        key = Path(told["key"]) if told["key"] is not None else None
        loaded = self._certificates.load(Path(told["certificate"]), key, policy, now)
        return _Entry(SiteLeaves(loaded, loaded), policy, None)

    def accept(self, endpoint: int) -> tuple[SSL.Connection, Callable[[str], str]]:
        """A new OpenSSL connection in accept state, on memory BIOs; and what gives it its
        certificate once the client's name is known ("": it has sent none), and tells the policy.

        Raises UnknownEndpointError.
        """
        self._renew_if_due()
        if endpoint >= len(self._endpoints):
            raise UnknownEndpointError("the address that the client connected to is served no more")
        names = self._endpoints[endpoint].names
        connection = SSL.Connection(self._base, None)
        connection.set_app_data(Secrets())
        connection.set_accept_state()

        def choose(name: str) -> str:
            entry = names.find(name)
            assert entry is not None  # every endpoint has a default
            if isinstance(entry, _Refused):
                raise TlsError(
                    Alert.INTERNAL_ERROR, f"no certificate for this site: {entry.problem}"
                )
            connection.set_context(self._loaded(entry, name).context)
            if entry.policy:
                ask_for_certificate(connection)
            return entry.policy

        return connection, choose

    def connect(self, upstream: str) -> SSL.Connection:
        """See `Upstreams.connect`. Raises UnknownUpstreamError."""
        return self._upstreams.connect(upstream)

    def _loaded(self, entry: _Entry, name: str) -> Loaded:
        if entry.names is not None and name and name not in entry.names:
            # A name below a wildcard, or one that nobody has where the default is a development
            # certificate.
            made = self._leaves.on_demand(name, entry.policy, self._now())
            if made is not None:
                return made
        # Some clients send an address as if it were a host's name.
        host = name and address_of(name) is None
        return entry.leaves.named if host else entry.leaves.unnamed

    def _renew_if_due(self) -> None:
        now = self._now()
        if now - self._checked < RECHECK:
            return
        self._checked = now
        self._leaves.forget()
        for entry in self._entries:
            if entry.names is not None:
                try:
                    entry.leaves = self._leaves.of_site(entry.names, entry.policy, now)
                except ConfigError as error:
                    log.error("a development certificate cannot be renewed: %s", error)
