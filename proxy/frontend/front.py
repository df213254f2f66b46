"""What all connections of one front end share."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from asyncio import AbstractEventLoop
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.parameters import Parameters
from fastpath.channel import Channel
from fastpath.engines.contract import Engine
from fastpath.worker.supervisor import Supervisor
from proxy.accesslog import AccessLog
from proxy.frontend.deadlines import Deadlines
from proxy.http.codec import Codec
from proxy.http.messages import Limits
from proxy.upstream.pool import Pool

if TYPE_CHECKING:
    from proxy.frontend.client import ClientConnection

# States in which we have not sent FIN yet (tcp(7) TCP_INFO, tcpi_state: the first byte).
_OPEN = (1, 8)  # ESTABLISHED, CLOSE_WAIT
_POLL = 0.01  # seconds


@dataclass(slots=True)
class Front:
    """One front-end process: its settings, its upstream, its workers, its connections."""

    loop: AbstractEventLoop
    parameters: Parameters
    engine: type[Engine]  # of new connections
    codec: Codec
    limits: Limits
    pool: Pool
    supervisors: list[Supervisor]
    access_log: AccessLog
    deadlines: Deadlines
    port: int = 0
    default_host: bytes = b"localhost"  # for HTTP/1.0 clients that name none
    connections: set[ClientConnection] = field(default_factory=set)
    closing: set[Channel] = field(default_factory=set)  # what is left of forgotten connections
    stopping: bool = False
    # Deadlines for what begins to wait now, as of the last sweep: to read one costs nothing.
    header_deadline: float = field(init=False)
    body_deadline: float = field(init=False)
    response_deadline: float = field(init=False)
    idle_deadline: float = field(init=False)
    _turn: int = 0
    _empty: asyncio.Event | None = None

    def __post_init__(self) -> None:
        self.set_deadlines()

    def set_deadlines(self) -> None:
        """From `parameters` and the time of the last sweep."""
        after, limits = self.deadlines.after, self.parameters
        self.header_deadline = after(limits.header_wait_timeout)
        self.body_deadline = after(limits.entity_body_timeout)
        self.response_deadline = after(limits.upstream_response_timeout)
        self.idle_deadline = after(limits.idle_connection_timeout)

    @property
    def mode(self) -> str:
        return "kernel" if self.engine.kernel_mode else "user"

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
        self.pool.sweep(now)
        self.drop_closed()

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

    def next_supervisor(self) -> Supervisor:
        """Workers take new connections in turn; one that is being restarted is passed over."""
        for _ in self.supervisors:
            self._turn = (self._turn + 1) % len(self.supervisors)
            if self.supervisors[self._turn].link is not None:
                break
        return self.supervisors[self._turn]


def _all_sent(channel: Channel) -> bool:
    if channel.closed:
        return True
    try:
        return channel.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] not in _OPEN
    except OSError:
        return True
