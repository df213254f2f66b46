"""A small TLS server with everything that a load asks for, and with what it must complain of."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

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
    sockets: list[socket.socket] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def drop_all(self) -> None:
        """Ends every connection."""
        for sock in self.sockets:
            with contextlib.suppress(OSError):  # it has ended already
                sock.shutdown(socket.SHUT_RDWR)


class _Listener(socketserver.ThreadingTCPServer):
    """A thread for each connection; closing waits for them."""

    request_queue_size = 512


@contextlib.contextmanager
def running(ca_path: Path, *, tickets: int = 2) -> Iterator[Server]:
    """Until the block ends; then no connection and no thread is left."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(ca_path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = tickets
    ca.issue_cert("localhost").configure_cert(context)
    server = Server(0, str(ca_path))

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            plain: socket.socket = self.request
            # Its own copy: TLS takes the descriptor away from the socket that it wraps.
            with plain.dup() as kept:
                with server.lock:
                    server.sockets.append(kept)
                # A load that ends closes as it likes.
                with (
                    contextlib.suppress(OSError),
                    context.wrap_socket(plain, server_side=True) as tls,
                ):
                    _serve(server, tls)
                with server.lock:
                    server.sockets.remove(kept)

    with _Listener(("127.0.0.1", 0), Handler) as listener:
        server.port = listener.server_address[1]
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
            with server.lock:
                server.drop_all()


def _serve(server: Server, tls: ssl.SSLSocket) -> None:
    with server.lock:
        server.connections += 1
        server.resumed += bool(tls.session_reused)
    with tls.makefile("rb") as reader:
        while _exchange(server, reader, tls):
            pass


def _exchange(server: Server, reader: BinaryIO, tls: ssl.SSLSocket) -> bool:
    """One request and its reply; False when the connection is over."""
    lines = []
    while (line := reader.readline().decode()) not in ("", "\r\n"):
        lines.append(line)
    if not lines:
        return False
    fields = {
        name.lower(): value.strip() for name, _, value in (one.partition(":") for one in lines[1:])
    }
    length = int(fields.get("content-length", "0"))
    if len(reader.read(length)) < length:
        server.errors.append(f"a request cut short: {lines[0]}")
        return False
    with server.lock:
        server.requests += 1
        server.lengths.add(length)
        if "x-request-number" in fields:
            server.numbers.append(fields["x-request-number"])
    path = lines[0].split()[1]
    if path == "/ws":
        _echo(reader, tls, fields["sec-websocket-key"])
        return False
    if path == "/silence":
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
    tls.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {told}\r\n{connection}\r\n".encode() + body)
    return not close


def _echo(reader: BinaryIO, tls: ssl.SSLSocket, key: str) -> None:
    digest = hashlib.sha1((key + _GUID).encode()).digest()
    tls.sendall(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )
    while len(head := reader.read(2)) == 2:
        first, second = head
        assert second & 0x80, "a client's frame must be masked"
        mask, masked = reader.read(4), reader.read(second & 0x7F)
        body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(masked))
        tls.sendall(bytes((first, len(body))) + body)
