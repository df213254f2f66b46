"""Upstreams that do not answer, and an exchange that only wants a connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

from kssl.config.target import Target
from kssl.proxy.upstream.connection import UpstreamConnection
from kssl.proxy.upstream.pool import Pool


class Asker:
    """A Connector that keeps what it is told."""

    def __init__(self) -> None:
        self.told: asyncio.Future[UpstreamConnection | tuple[str, bool]] = (
            asyncio.get_running_loop().create_future()
        )
        self.pool: Pool | None = None

    def upstream_connected(self, pool: Pool, connection: UpstreamConnection) -> None:
        self.pool = pool
        self.told.set_result(connection)

    def upstream_refused(self, pool: Pool, reason: str, *, timed_out: bool) -> None:
        self.pool = pool
        self.told.set_result((reason, timed_out))

    async def connection(self) -> UpstreamConnection:
        told = await asyncio.wait_for(self.told, 30)
        assert isinstance(told, UpstreamConnection), told
        return told


@contextlib.contextmanager
def black_hole() -> Iterator[Target]:
    """An upstream whose SYNs are dropped: its queue is full, and nobody accepts."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        yield Target("http", "127.0.0.1", server.getsockname()[1])


@contextlib.contextmanager
def full_unix_socket(path: str) -> Iterator[socket.socket]:
    """A listener on ``path`` with no room for a further connection until something is accepted."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(path)
        server.listen(0)
        while True:
            filler = stack.enter_context(socket.socket(socket.AF_UNIX))
            filler.setblocking(False)
            if filler.connect_ex(path):
                break
        yield server
