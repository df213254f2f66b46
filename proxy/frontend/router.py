"""Which site a request is for, what that site asks of it, and a place among the site's requests.

    head, client ──> Router.route ──> Route ──> exchange, tunnel ──> Route.release

A router belongs to one endpoint and one configuration; a reload makes another, and a request keeps
the route that it has.

Promises
    1. A route is never changed. One with a lease is of one request; others may be handed out again
       for the next request of the same client, and one that is `shared` for every request with the
       same Host, without asking.
    2. `Router.route` does not raise: a route says itself where the request is refused (`refusal`)
       or redirected to (`location`). Such a route has no lease.
    3. Who has got a route with a lease gives it back once, when the request, or the tunnel that it
       has become, is over. Giving it back again does nothing.
    4. What one request does with its route says nothing about another's: there may be several at a
       time, for several sites, on one connection.
"""

from __future__ import annotations

from collections.abc import Mapping

from kssl.config import routing
from kssl.config.model import Site
from kssl.config.routing import NameTable
from kssl.proxy.frontend.admission import Admission
from kssl.proxy.frontend.certificate import bars, refusal
from kssl.proxy.frontend.site import Lease, SiteFront
from kssl.proxy.http.messages import HttpError, RequestHead
from kssl.proxy.http.policy import ResponsePolicy


class Route:
    """Where one request goes.

    site: None if there is none. policy: what the site changes in responses. host, router: by which
    the site was found. refusal: what the request is answered instead. location: the URL that it is
    redirected to. shared: the next request of the client gets this route as well if its Host is
    equal. lease: a place among the requests of a site with maxConnections.
    """

    __slots__ = ("host", "lease", "location", "policy", "refusal", "router", "shared", "site")

    def __init__(
        self,
        site: SiteFront | None,
        policy: ResponsePolicy | None,
        host: bytes = b"",
        router: Router | None = None,
        *,
        refusal: HttpError | None = None,
        location: bytes | None = None,
        shared: bool = False,
        lease: Lease | None = None,
    ) -> None:
        self.site = site
        self.policy = policy
        self.host = host
        self.router = router
        self.refusal = refusal
        self.location = location
        self.shared = shared
        self.lease = lease

    def release(self) -> None:
        """Give the lease back: the request is over."""
        if self.lease is not None:
            self.lease.release()


class Router:
    """The sites of one endpoint, as of one configuration.

    fallback: whose certificate a client gets that names no site (`kssl.config.routing`). sites: all
    of them.
    """

    __slots__ = ("_names", "fallback", "sites", "tls")

    def __init__(
        self,
        names: NameTable[SiteFront],
        fallback: SiteFront,
        sites: tuple[Site, ...],
        *,
        tls: bool,
    ) -> None:
        self._names = names
        self.tls = tls
        self.fallback = fallback
        self.sites = sites

    @classmethod
    def of(cls, address: routing.Endpoint, fronts: Mapping[str, SiteFront]) -> Router:
        """``fronts`` by the names of their sites."""
        default = next((fronts[site.name] for site in address.sites if site.default), None)
        names = ((name, fronts[site.name]) for site in address.sites for name in site.hostnames)
        return cls(
            NameTable(names, default),
            default or fronts[address.sites[0].name],
            address.sites,
            tls=address.binding.tls,
        )

    def of_handshake(self, server_name: str) -> SiteFront:
        """Return the site whose certificate and policy the handshake had, as `Session` names it."""
        return self._names.find(lower_name(server_name)) or self.fallback

    def route(self, head: RequestHead, client: Admission, last: Route | None = None) -> Route:
        """Return the route of a request. ``last``: the one before, of the same client. It saves
        looking for the site again, and may be handed out again, unless it has a lease."""
        host = head.host
        if last is None or last.router is not self or last.host != host:
            last = self._find(host, client)
        if last.shared or last.site is None or last.refusal is not None:
            return last
        return self._checked(last, last.site, head, client)

    def _find(self, host: bytes, client: Admission) -> Route:
        """Return what is the same for all requests with this Host."""
        site = self._names.find(host_name(host) if host else client.server_name)
        if site is None:
            error = HttpError(404, "Hostname", "No site of this proxy has that host name.")
            return Route(None, None, host, refusal=error)
        policy = site.tls_policy if self.tls else site.plain_policy
        if self.tls and site.certificate_policy != client.policy:
            error = HttpError(
                421, "Misdirected", "This site asks for another handshake than there was."
            )
            return Route(site, policy, host, refusal=error)
        asks = site.site.client_certificates is not None
        looks = not self.tls or site.rules.active or site.limited or asks
        return Route(site, policy, host, self, shared=not looks)

    def _checked(
        self, found: Route, site: SiteFront, head: RequestHead, client: Admission
    ) -> Route:
        policy, host = found.policy, found.host
        if site.rules.active or not self.tls:
            try:
                location = site.rules.check(head, client.key_bits)
            except HttpError as error:
                # The traceback would hold this frame for as long as there is the route.
                return Route(site, policy, host, refusal=error.with_traceback(None))
            if location is not None:
                return Route(site, policy, host, location=location)
        wanted = site.site.client_certificates
        if wanted is not None and bars(wanted, client.verdict):
            return Route(site, policy, host, refusal=refusal(client.verdict))
        if not site.limited:
            return found
        lease = site.lease()
        if lease is None:
            most = site.site.limits.max_connections
            what = f"This site has {most} requests in progress, as many as maxConnections allows."
            return Route(site, policy, host, refusal=HttpError(503, "ConnLimit", what, 2))
        return Route(site, policy, host, self, lease=lease)


def lower_name(server_name: str) -> str:
    """Return an SNI as `NameTable` wants it."""
    return server_name.lower().removesuffix(".")


def host_name(host: bytes) -> str:
    """Return the name in uri-host [ ":" port ] that the grammar has accepted, as `NameTable` wants
    it. An IPv6 literal keeps its brackets."""
    text = host.decode("latin-1").lower()
    if text.startswith("["):
        return text[: text.index("]") + 1]
    return text.partition(":")[0].removesuffix(".")
