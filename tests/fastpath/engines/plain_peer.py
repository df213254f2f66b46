"""Both ends of a connection without TLS, with the faces of `Client` and `Accepted`."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from kssl.fastpath.engines.contract import Engine, Handover
from kssl.fastpath.engines.plain import PlainEngine
from kssl.fastpath.net.channel import Channel
from tests.fastpath.client import Client
from tests.fastpath.harness import Accepted, Place, RecordingSink, tcp_pair


class PlainClient(Client):
    """A socket. What is sealed is what it was."""

    def __init__(self, sock: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self.sock = sock
        self.end = None
        self.close_notify = False

    def seal(self, data: bytes) -> bytes:
        return data

    def seal_close_notify(self) -> bytes:
        return b""

    async def receive(self, limit: int = 1 << 18) -> bytes:
        try:
            data = await self._loop.sock_recv(self.sock, limit)
        except ConnectionResetError:
            self.end = "reset"
            return b""
        if not data:
            self.end = "fin"
        return data

    async def receive_all(self) -> bytes:
        data = bytearray()
        while more := await self.receive():
            data += more
        return bytes(data)


class PlainAccepted(Accepted):
    """An accepted connection that goes to the engine at once."""

    def __init__(self, sock: socket.socket, *, max_send: int | None, first_bytes: bytes) -> None:
        self.loop = asyncio.get_running_loop()
        self.sink = RecordingSink()
        self.failure = None
        self.channel = Channel(self.loop, sock, lambda: None, lambda: None, lambda error: None)
        options: dict[str, Any] = {} if max_send is None else {"max_send": max_send}
        self._engine = PlainEngine(
            Handover(
                loop=self.loop,
                channel=self.channel,
                link=None,
                identifier=0,
                keys=b"",
                close_notify=True,
                **options,
            ),
            self.sink,
        )
        self._engine.start(first_bytes)

    def drop(self) -> None:
        self.sink.deaf = False
        if not self.channel.closed:
            self.engine.abort()
        self.channel.close()


class EitherPlace(Place):
    """Connections with TLS come from another place, those without are made here."""

    def __init__(self, tls: Place) -> None:
        self._tls = tls
        self.supervisor = tls.supervisor
        self._accepted = []
        self._clients = []
        self.loop_errors = tls.loop_errors

    def plain(
        self, *, buffers: int | None = None, max_send: int | None = None, first_bytes: bytes = b""
    ) -> tuple[PlainClient, PlainAccepted]:
        theirs, ours = tcp_pair(buffers=buffers)
        client = PlainClient(ours)
        accepted = PlainAccepted(theirs, max_send=max_send, first_bytes=first_bytes)
        self._clients.append(client)
        self._accepted.append(accepted)
        return client, accepted

    def pair(self, engine: type[Engine], **options: Any) -> tuple[Client, Accepted]:
        if engine is PlainEngine:
            return self.plain(**options)
        return self._tls.pair(engine, **options)

    async def connect(self, engine: type[Engine], **options: Any) -> tuple[Client, Accepted]:
        if engine is PlainEngine:
            return self.plain(**options)
        return await self._tls.connect(engine, **options)

    def settle(self) -> None:
        super().settle()
        self._tls.settle()
