"""Bytes that look like TLS to whoever reads only the headers, and both ends of a connection."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.cut import Cut

SECONDS = 60.0


def record(kind: int, size: int, fill: bytes = b"x") -> bytes:
    """A record with ``size`` bytes behind its header of five."""
    return bytes((kind, 3, 3)) + size.to_bytes(2, "big") + fill * size


HELLO = record(22, 40)  # client's and server's look alike
CHANGE = record(20, 1)
SERVER_FLIGHT_13 = HELLO + CHANGE + record(23, 30) + record(23, 50)
FINISHED_13 = CHANGE + record(23, 53)
SERVER_FLIGHT_12 = HELLO + record(22, 300)
FINISHED_12 = record(22, 37) + CHANGE + record(22, 40)


@dataclass
class Ends:
    """What the attacker stands between."""

    attacker: Attacker
    client: socket.socket
    server: socket.socket

    def to_server(self, data: bytes) -> None:
        self.client.sendall(data)
        assert exactly(self.server, len(data)) == data

    def to_client(self, data: bytes) -> None:
        self.server.sendall(data)
        assert exactly(self.client, len(data)) == data

    def handshake(self) -> None:
        """TLS 1.3's, each flight behind the other."""
        self.to_server(HELLO)
        self.to_client(SERVER_FLIGHT_13)
        self.to_server(FINISHED_13)


@contextlib.contextmanager
def ends(cut: Cut | None = None) -> Iterator[Ends]:
    """A connection through the attacker."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Attacker(listener.getsockname()[1], cut) as attacker,
        socket.create_connection(("127.0.0.1", attacker.port), SECONDS) as client,
    ):
        server, _ = listener.accept()
        with server:
            server.settimeout(SECONDS)
            yield Ends(attacker, client, server)


def exactly(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or what there is before the end."""
    received = b""
    while len(received) < size and (piece := sock.recv(size - len(received))):
        received += piece
    return received


def to_end(sock: socket.socket) -> bytes:
    """All up to FIN. Raises ConnectionResetError."""
    received = b""
    while piece := sock.recv(1 << 16):
        received += piece
    return received
