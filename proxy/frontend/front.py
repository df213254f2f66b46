"""What all connections of one front end share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from asyncio import AbstractEventLoop
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from kssl.config import routing
from kssl.config.model import Binding, Configuration, Site
from kssl.config.parameter import Profile
from kssl.config.parameters import Parameters
from kssl.config.profiles import RULES
from kssl.config.table import PARAMETERS
from kssl.config.target import Target
from kssl.fastpath.engines.contract import MAX_AFTER_PAUSE, RECEIVE_SIZE, Engine
from kssl.fastpath.ipc.sessions import SessionOwners
from kssl.fastpath.ipc.supervisor import Supervisor
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.net.channel import Channel
from kssl.proxy.frontend.capacity import Capacity, Closing, Holder
from kssl.proxy.frontend.deadlines import Deadlines
from kssl.proxy.frontend.endpoint import Endpoint
from kssl.proxy.frontend.router import Router
from kssl.proxy.frontend.site import SiteFront
from kssl.proxy.http.codec import Codec
from kssl.proxy.http.messages import Limits
from kssl.proxy.http.url import UrlRules
from kssl.proxy.journal.journal import Journal
from kssl.proxy.upstream.group import Group
from kssl.proxy.upstream.names import Names
from kssl.proxy.upstream.pool import Pool
from kssl.proxy.upstream.secure import TlsClient

if TYPE_CHECKING:
    from kssl.proxy.frontend.client import ClientConnection

log = logging.getLogger("kssl")

# States in which we have not sent FIN yet (tcp(7) TCP_INFO, tcpi_state: the first byte).
_OPEN = (1, 8)  # ESTABLISHED, CLOSE_WAIT
_POLL = 0.01  # seconds

# Between two looks at what a client has taken, at a tunnel, in seconds; less if the limit is short.
_LOOK, _TUNNEL_LOOK = 2.0, 15.0


@dataclass(slots=True)
class Front:
    """One front-end process: its settings, its sites, its workers, its connections.

    `apply` gives it its sites, when the service starts and at each reload.
    """

    loop: AbstractEventLoop
    parameters: Parameters
    profile: Profile
    engine: type[Engine]  # of new TLS connections
    codec: Codec
    supervisors: list[Supervisor]
    journal: Journal
    deadlines: Deadlines
    capacity: Capacity
    names: Names
    verifier: Supervisor | None = None  # there is one if a site asks for client certificates
    limits: Limits = field(init=False)
    sessions: SessionOwners | None = field(init=False)  # None with one worker: it has them all
    endpoints: list[Endpoint] = field(default_factory=list)
    pools: dict[Target, Pool] = field(default_factory=dict)
    connections: set[ClientConnection] = field(default_factory=set)
    closing: set[Channel] = field(default_factory=set)  # what is left of forgotten connections
    stopping: bool = False  # no further request is waited for
    # Deadlines for what begins to wait now, as of the last sweep: to read one costs nothing.
    header_deadline: float = field(init=False)
    body_deadline: float = field(init=False)
    response_deadline: float = field(init=False)
    # When to see whether a client that lets us wait has taken anything, or a tunnel has moved:
    # often enough for a limit to be kept to a small part of it.
    look_deadline: float = field(init=False)
    tunnel_look_deadline: float = field(init=False)
    idle_deadline: float = field(init=False)
    _sites: dict[str, SiteFront] = field(default_factory=dict)
    _held: list[ClientConnection] | None = None  # during a reload: those that wait for its end
    _turn: int = 0
    _empty: asyncio.Event | None = None

    def __post_init__(self) -> None:
        self.limits = _limits(self.parameters)
        workers = len(self.supervisors)
        self.sessions = SessionOwners(workers) if workers > 1 else None
        self.set_deadlines()
        self.names.changed = self._moved

    def set_deadlines(self) -> None:
        """From `parameters` and the time of the last sweep."""
        after, limits = self.deadlines.after, self.parameters
        self.header_deadline = after(limits.header_wait_timeout)
        self.body_deadline = after(limits.entity_body_timeout)
        self.response_deadline = after(limits.upstream_response_timeout)
        self.idle_deadline = after(limits.idle_connection_timeout)
        self.look_deadline = after(min(_LOOK, limits.entity_body_timeout / 60))
        idle = limits.tunnel_idle_timeout or _TUNNEL_LOOK * 60
        self.tunnel_look_deadline = after(min(_TUNNEL_LOOK, idle / 60))

    @property
    def mode(self) -> str:
        return "kernel" if self.engine.kernel_mode else "user"

    @property
    def bulk(self) -> bool:
        """Whether records are encrypted and sent in batches."""
        return RULES[self.profile].bulk

    @property
    def server_field(self) -> bool:
        """Whether our own responses say who we are."""
        return self.parameters.disable_server_header == 0

    # -- the configuration -----------------------------------------------------------------

    def apply(
        self,
        configuration: Configuration,
        endpoints: Sequence[Endpoint],
    ) -> None:
        """Serves these sites from the next request of each connection on.

        ``endpoints``: one for each of the configuration's bindings, those that there are already
        among them. `names` has been told of its upstreams (`Names.watch`).

        Requests in progress keep the site and the upstream that they have. Parameters that are
        not live, and the profile, stay as they were when the service started.
        """
        self.parameters = _with_live(self.parameters, configuration.parameters, self.profile)
        self.limits = _limits(self.parameters)
        self.capacity.configure(self.parameters.max_connection_memory)
        self.set_deadlines()
        self._set_pools(routing.targets(configuration))
        ports = {endpoint.binding: endpoint.port for endpoint in endpoints}
        self._sites = {
            site.name: SiteFront(
                site,
                Group([self.pools[target] for target in site.upstreams]),
                parameters=self.parameters,
                rules=RULES[self.profile],
                https_port=_https_port(site, ports),
                before=self._sites.get(site.name),
            )
            for site in configuration.sites
        }
        self._set_endpoints(configuration, endpoints)
        for connection in list(self.connections):
            connection.renew()
        self.end_reload()

    def _set_pools(self, targets: Collection[Target]) -> None:
        timeout = self.parameters.upstream_connect_timeout
        for target in self.pools.keys() - set(targets):
            self.pools.pop(target).retire()
        for target in targets:
            if target in self.pools and target.tls is not None:
                # What it keeps was verified with a CA file that may be another by now.
                self.pools.pop(target).retire()
            if target in self.pools:
                self.pools[target].update(timeout)
            else:
                self.pools[target] = self._pool(target, timeout)
        self.names.keep(targets)

    def _pool(self, target: Target, timeout: float) -> Pool:
        names = self.names
        pool = Pool(
            self.loop,
            target,
            timeout,
            names.addresses(target),
            self._tls_client(),
            unreachable=lambda: names.doubt(target.host),
        )
        pool.unknown = names.unknown(target)
        return pool

    def _moved(self, host: str) -> None:
        """There is news of ``host`` (`Names.changed`)."""
        for target, pool in self.pools.items():
            if target.host == host:
                pool.move(self.names.addresses(target), self.names.unknown(target))

    def _tls_client(self) -> TlsClient:
        return TlsClient(
            loop=self.loop,
            supervisor=self.next_supervisor,
            engine=self.engine,
            max_send=self.parameters.max_bytes_per_send,
            bulk=self.bulk,
            ended=self.journal.closes.upstream_ended,
        )

    def _set_endpoints(self, configuration: Configuration, endpoints: Sequence[Endpoint]) -> None:
        by_binding = {endpoint.binding: endpoint for endpoint in endpoints}
        given_up = [endpoint for endpoint in self.endpoints if endpoint not in endpoints]
        for endpoint in given_up:
            endpoint.index = None  # the workers do not know it any more
        self.endpoints = []
        index = 0
        for address in routing.endpoints(configuration):
            endpoint = by_binding[address.binding]
            endpoint.router = Router.of(address, self._sites)
            endpoint.index = index if endpoint.tls else None
            index += endpoint.tls
            self.endpoints.append(endpoint)
        self.give_up(given_up)

    def give_up(self, endpoints: Iterable[Endpoint]) -> None:
        """Their connections end with the request that they are at, or are about to send."""
        for endpoint in endpoints:
            endpoint.open = False

    def end_with_next_response(self) -> None:
        """A successor listens. Whoever was accepted here is served here, also one that has not
        begun its handshake: the workers still know the endpoints."""
        for endpoint in self.endpoints:
            endpoint.open = False

    def begin_reload(self) -> None:
        """Before the workers are told of another configuration: handshakes that would begin now
        wait, for the workers' endpoints are about to be others than the front end's."""
        self._held = []

    def end_reload(self) -> None:
        """The workers and the front end agree again; `apply` calls it."""
        held, self._held = self._held, None
        for connection in held or ():
            connection.reload_over()

    def hold(self, connection: ClientConnection) -> bool:
        """Whether ``connection`` has to wait, with its handshake or its verdict, until it is told
        that a reload is over."""
        if self._held is None:
            return False
        self._held.append(connection)
        return True

    # -- connections -----------------------------------------------------------------------

    def forget(self, connection: ClientConnection) -> None:
        """The connection is over, or needs nothing more but time to close."""
        self.connections.discard(connection)
        self.deadlines.discard(connection)
        if not connection.channel.closed:
            self.closing.add(connection.channel)
        if self._empty is not None and not self.connections:
            self._empty.set()

    async def wait_until_empty(self, seconds: float) -> None:
        """Returns when all connections are over, or after ``seconds``."""
        self._empty = asyncio.Event()
        if self.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)

    def sweep(self, now: float) -> None:
        """Twice a second (`Deadlines`)."""
        self.set_deadlines()
        self.names.sweep(now)
        for pool in self.pools.values():
            pool.sweep(now)
        self.drop_closed()
        self.watch_memory()
        # What may come behind a head that is read, or behind a pause, and what both sides' quanta
        # leave for later.
        each = self.limits.max_request_bytes + MAX_AFTER_PAUSE + 2 * RECEIVE_SIZE
        if self.capacity.may_exceed(self.open_connections, each):
            self.relieve()

    def watch_memory(self) -> None:
        """Notice at once when connections hold more than they may, however many there are now."""
        self.capacity.watch(self.open_connections, self._too_much_waits)

    def _too_much_waits(self) -> None:
        if not self.relieve():
            # What waits is on its way to apps or workers. The next sweep looks again.
            self.capacity.unwatch()

    def relieve(self) -> int:
        """Cut connections if all together hold more than they may; return how many."""
        before = self.open_connections
        holders: list[Holder] = [*self.connections, *map(Closing, self.closing)]
        cut = self.capacity.relieve(holders, before)
        if cut:
            log.warning(
                "MaxConnectionMemory (%d MiB) is used up: the slowest %d of %d connections are cut",
                self.capacity.memory >> 20,
                cut,
                before,
                extra=limited("Memory_Full"),
            )
        return cut

    def make_room(self) -> bool:
        """Whether another connection to an app may be opened, if need be instead of an idle one."""
        if not self.capacity.upstream_fits:
            for pool in self.pools.values():
                if pool.close_oldest():
                    break
        return self.capacity.upstream_fits

    def close_pools(self) -> None:
        """Closes all idle connections to upstreams."""
        for pool in self.pools.values():
            pool.close()

    @property
    def open_connections(self) -> int:
        """Those that are served and those that are still being closed."""
        return len(self.connections) + len(self.closing)

    def drop_closed(self) -> None:
        """Nobody tells when a closing one is closed; the sweep looks."""
        self.closing = {channel for channel in self.closing if not channel.closed}

    async def wait_until_sent(self, seconds: float) -> None:
        """Returns when the kernel has all that closing connections still have to send, with their
        FIN, or after ``seconds``. In user mode their last records come from the worker."""
        end = self.loop.time() + seconds
        # No event tells it: what sends is `GracefulClose`, which reports only the very end.
        while not all(map(_all_sent, self.closing)) and self.loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)

    async def wait_until_closed(self, seconds: float) -> None:
        """Returns when the clients have answered the end of all closing connections, or after
        ``seconds``."""
        end = self.loop.time() + seconds
        while not all(channel.closed for channel in self.closing) and self.loop.time() < end:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)

    def supervisor_for(self, session_ids: tuple[bytes, ...]) -> Supervisor:
        """The one whose worker has a session that the client offers, else the next in turn."""
        if session_ids and self.sessions is not None:
            owner = self.sessions.owner(session_ids)
            if owner is not None and not owner.silent:
                return owner
        return self.next_supervisor()

    def next_supervisor(self) -> Supervisor:
        """Workers take new connections in turn; one that is being restarted, or does not answer, is
        passed over."""
        for _ in self.supervisors:
            self._turn = (self._turn + 1) % len(self.supervisors)
            if self.supervisors[self._turn].takes_work:
                break
        return self.supervisors[self._turn]


def _all_sent(channel: Channel) -> bool:
    if channel.closed:
        return True
    try:
        return channel.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] not in _OPEN
    except OSError:
        return True


def _with_live(old: Parameters, new: Parameters, profile: Profile) -> Parameters:
    live = [row.attribute for row in PARAMETERS if row.live_in(profile)]
    return replace(old, **{name: getattr(new, name) for name in live})


def _limits(parameters: Parameters) -> Limits:
    return Limits(
        max_field_length=parameters.max_field_length,
        max_request_bytes=parameters.max_request_bytes,
        max_response_head=parameters.max_response_head_bytes,
        url=UrlRules.of(parameters),
    )


def _https_port(site: Site, ports: Mapping[Binding, int]) -> int:
    """Where plain HTTP is redirected to; 443 when that is elsewhere."""
    return next((ports[binding] for binding in site.bindings if binding.tls), 443)
