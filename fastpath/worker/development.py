"""Certificates that nobody configured: leaves of the development CA, some made on demand."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from kssl.config.devca import DEFAULT_NAMES, DevelopmentCA, permitted
from kssl.config.devcert import address_of
from kssl.config.errors import ConfigError
from kssl.config.model import WILDCARD
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.worker.certificates import Certificates, Loaded

log = logging.getLogger("kssl.worker")

# Leaves issued on demand for names below `localhost`: a client chooses the names, so there is a
# number after which it gets the default certificate. Each costs two small files and a signature.
MAX_NAMES = 100


@dataclass(frozen=True, slots=True)
class SiteLeaves:
    """The two development certificates of a site; one, if all its names are of the same kind.

    BoringSSL (Chromium on some systems, gRPC, Envoy, curl-impersonate) refuses a chain in which a
    certificate with IP addresses stands below a CA with name constraints on them: it cannot judge
    these. It sends the name of the host, so it gets a certificate without addresses. Whoever
    connects to an address sends no name (RFC 6066 §3), and gets the one with addresses.
    """

    named: Loaded  # for clients that send the name of a host
    unnamed: Loaded  # for the others


class DevelopmentLeaves:
    """The CA is opened, or made, with the first leaf that is asked for."""

    def __init__(self, state_dir: Path, certificates: Certificates) -> None:
        self._state_dir = state_dir
        self._certificates = certificates
        self._ca: DevelopmentCA | None = None
        self._issued: set[str] = set()  # on demand, ever
        self._on_demand: dict[tuple[str, str], Loaded] = {}  # by name and policy

    @property
    def ca_path(self) -> Path | None:
        """The CA's certificate; None if nobody has asked for a leaf."""
        return self._ca.ca_path if self._ca is not None else None

    def fresh(self) -> DevelopmentLeaves:
        """Another one for another configuration, with the same limit on what is ever issued."""
        other = DevelopmentLeaves(self._state_dir, self._certificates)
        other._issued = self._issued
        return other

    def of_site(self, names: Sequence[str], policy: str, now: datetime) -> SiteLeaves:
        """Return the leaves for the names of a site.

        A wildcard gets its leaves on demand; a site of wildcards alone has the usual ones for
        clients that name no host. Raises ConfigError.
        """
        for name in names:
            if name.startswith(WILDCARD) and not permitted(name.removeprefix(WILDCARD)):
                raise ConfigError(
                    f"the development CA does not vouch for {name!r}, only for names below "
                    "localhost; configure a certificate for it"
                )
        plain = [name for name in names if not name.startswith(WILDCARD)] or DEFAULT_NAMES
        hosts = [name for name in plain if address_of(name) is None]
        unnamed = self._load(plain, policy, now)
        named = self._load(hosts, policy, now) if 0 < len(hosts) < len(plain) else unnamed
        return SiteLeaves(named, unnamed)

    def on_demand(self, name: str, policy: str, now: datetime) -> Loaded | None:
        """For a name that a client has sent. None: this CA does not vouch for it, or not for
        another one, or it cannot (the log says why)."""
        known = self._on_demand.get((name, policy))
        if known is not None:
            return known
        if not permitted(name) or len(self._issued | {name}) > MAX_NAMES:
            return None
        self._issued.add(name)
        try:
            loaded = self._load([name], policy, now)
        except ConfigError as error:
            log.error(
                "no certificate for a name that a client asked for: %s",
                error,
                extra=limited("development certificate"),
            )
            return None
        self._on_demand[name, policy] = loaded
        return loaded

    def forget(self) -> None:
        """What was made on demand is looked at again, and renewed where due, at its next use."""
        self._on_demand.clear()

    def _load(self, names: Sequence[str], policy: str, now: datetime) -> Loaded:
        if self._ca is None:
            self._ca = DevelopmentCA.open_or_create(self._state_dir, now=now)
        certificate, key = self._ca.ensure_leaf(names, now=now)
        return self._certificates.load(certificate, key, policy, now)
