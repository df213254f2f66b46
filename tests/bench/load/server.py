"""A small TLS server with everything that a load asks for, and with what it must complain of."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import trustme

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass
class Server:
    """A running server, and what it has seen."""

    port: int
    ca: str
    requests: int = 0
    connections: int = 0
    resumed: int = 0
    lengths: set[int] = field(default_factory=set)
    numbers: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop | None = None

    def drop_all(self) -> None:
        """Ends every connection, and returns when they are gone."""

        async def drop() -> None:
            for writer in self.writers:
                writer.transport.abort()
            await asyncio.gather(*(one.wait_closed() for one in self.writers))

        assert self.loop is not None
        asyncio.run_coroutine_threadsafe(drop(), self.loop).result()

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"


@contextlib.contextmanager
def running(ca_path: Path, *, tickets: int = 2) -> Iterator[Server]:
    """In a thread of its own."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(ca_path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = tickets
    ca.issue_cert("localhost").configure_cert(context)
    server = Server(0, str(ca_path))
    ready, loop = threading.Event(), asyncio.new_event_loop()
    server.loop = loop
    over = asyncio.Event()

    async def serve() -> None:
        listener = await asyncio.start_server(
            lambda reader, writer: _connection(server, reader, writer), "127.0.0.1", 0, ssl=context
        )
        server.port = listener.sockets[0].getsockname()[1]
        ready.set()
        await over.wait()
        listener.close()
        for writer in server.writers:
            writer.transport.abort()
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


async def _connection(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    server.connections += 1
    server.writers.append(writer)
    server.resumed += writer.get_extra_info("ssl_object").session_reused
    try:
        while await _exchange(server, reader, writer):
            pass
    except asyncio.IncompleteReadError as error:
        if error.partial:
            server.errors.append(f"a request cut short: {error.partial[:60]!r}")
    except (ConnectionError, ssl.SSLError):
        pass  # a load that ends closes as it likes
    finally:
        writer.close()


async def _exchange(
    server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """One request and its reply; False when the connection is over."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    line, *rest = head.split("\r\n")
    fields = {
        name.lower(): value.strip()
        for name, found, value in (one.partition(":") for one in rest)
        if found
    }
    length = int(fields.get("content-length", "0"))
    await reader.readexactly(length)
    server.requests += 1
    server.lengths.add(length)
    if "x-request-number" in fields:
        server.numbers.append(fields["x-request-number"])
    path = line.split()[1]
    if path == "/ws":
        await _echo(reader, writer, fields["sec-websocket-key"])
        return False
    if path == "/silence":  # takes the second request and says nothing
        return False
    status, body = "200 OK", b"taken\n"
    if path[1:].isdecimal():
        body = bytes(int(path[1:]))
    elif path == "/missing":
        status = "404 Not Found"
    elif path == "/moved":
        status = "302 Found"
    close = fields.get("connection") == "close" or path == "/cut"
    told = len(body) + (path == "/cut")
    connection = "Connection: close\r\n" if close else ""
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {told}\r\n{connection}\r\n".encode() + body)
    await writer.drain()
    return not close


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, key: str) -> None:
    digest = hashlib.sha1((key + _GUID).encode()).digest()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )
    while True:
        first, second = await reader.readexactly(2)
        assert second & 0x80, "a client's frame must be masked"
        mask = await reader.readexactly(4)
        masked = await reader.readexactly(second & 0x7F)
        body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
        writer.write(bytes((first, len(body))) + body)
        await writer.drain()
