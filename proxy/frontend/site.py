"""A site as requests meet it: where they go, what is asked of them, what their answers carry."""

from __future__ import annotations

from kssl.config.model import WILDCARD, Site
from kssl.config.parameters import Parameters
from kssl.config.profiles import Rules
from kssl.proxy.http.policy import response_policy
from kssl.proxy.http.site_rules import SiteRules
from kssl.proxy.upstream.group import Group


class Running:
    """The number of a site's requests in progress; survives a reload."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Lease:
    """A place among a site's requests in progress, of one of them."""

    __slots__ = ("_running",)

    def __init__(self, running: Running) -> None:
        running.count += 1
        self._running: Running | None = running

    def release(self) -> None:
        """Give the place back. A second call does nothing."""
        running, self._running = self._running, None
        if running is not None:
            running.count -= 1


class SiteFront:
    """One site as of one configuration; a reload makes new ones, and a request keeps its own."""

    __slots__ = (
        "certificate_policy",
        "default_host",
        "group",
        "limited",
        "plain_policy",
        "rules",
        "running",
        "site",
        "tls_policy",
    )

    def __init__(
        self,
        site: Site,
        group: Group,
        *,
        parameters: Parameters,
        rules: Rules,
        https_port: int,
        before: SiteFront | None,
    ) -> None:
        """``rules`` are the profile's. ``https_port``: where the site is redirected to.
        ``before``: the same site before a reload."""
        self.site = site
        self.certificate_policy = site.policy
        self.group = group
        self.rules = SiteRules(site, rules, https_port)
        server = parameters.disable_server_header
        self.plain_policy = response_policy(server, site.hsts, tls=False)
        self.tls_policy = response_policy(server, site.hsts, tls=True)
        self.limited = bool(site.limits.max_connections)
        # One that did not count has no number to go on from.
        self.running: Running = (
            before.running if before is not None and before.limited else Running()
        )
        self.default_host = (first_name(site) or "localhost").encode()  # HTTP/1.0 without Host

    def lease(self) -> Lease | None:
        """Return a place for a request, if `limited`; None: all maxConnections are taken."""
        if self.running.count >= self.site.limits.max_connections:
            return None
        return Lease(self.running)


def first_name(site: Site) -> str | None:
    """A host name that can stand in a URL."""
    return next((name for name in site.hostnames if not name.startswith(WILDCARD)), None)
