"""What all connections of one front end share."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio import AbstractEventLoop
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from config.parameters import Parameters
from fastpath.engines.contract import Engine
from fastpath.worker.supervisor import Supervisor
from proxy.accesslog import AccessLog
from proxy.frontend.deadlines import Deadlines
from proxy.http.codec import Codec
from proxy.http.messages import Limits
from proxy.upstream.pool import Pool

if TYPE_CHECKING:
    from proxy.frontend.client import ClientConnection


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
    stopping: bool = False
    _turn: int = 0
    _empty: asyncio.Event | None = None

    @property
    def mode(self) -> str:
        return "kernel" if self.engine.kernel_mode else "user"

    def forget(self, connection: ClientConnection) -> None:
        """The connection is over, or needs nothing more but time to close."""
        self.connections.discard(connection)
        self.deadlines.discard(connection)
        if self._empty is not None and not self.connections:
            self._empty.set()

    async def wait_until_empty(self, seconds: float) -> None:
        """Returns when all connections are over, or after ``seconds``."""
        self._empty = asyncio.Event()
        if self.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), seconds)

    def next_supervisor(self) -> Supervisor:
        """Workers take new connections in turn; one that is being restarted is passed over."""
        for _ in self.supervisors:
            self._turn = (self._turn + 1) % len(self.supervisors)
            if self.supervisors[self._turn].link is not None:
                break
        return self.supervisors[self._turn]
