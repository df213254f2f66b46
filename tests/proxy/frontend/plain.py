"""A client without TLS that reads responses as `Client` does."""

from __future__ import annotations

import socket

from tests.proxy.frontend.clients import SECONDS, Client, CutError


class PlainClient(Client):
    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.unread = bytearray()

    def records(self, *pieces: bytes) -> bytes:
        return b"".join(pieces)

    def more(self) -> None:
        data = self.sock.recv(1 << 18)
        if not data:
            raise CutError("FIN")
        self.unread += data

    def at_end(self) -> bool:
        """Whether the proxy has closed its side, with nothing before that."""
        return not self.unread and self.sock.recv(1) == b""
