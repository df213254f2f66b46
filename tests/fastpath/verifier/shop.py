"""A CA's web server, as tests of the verifier need it."""

from __future__ import annotations

import socket
import threading

from tests.fastpath.verifier.fetch.server import Server, ok

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Shop(Server):
    """Answers by path; those in `held` wait for `go`."""

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        self.held: set[str] = set()
        self.go = threading.Event()
        super().__init__(self._serve_path)

    def _serve_path(self, connection: socket.socket, head: bytes, stop: threading.Event) -> None:
        path = head.split(b" ")[1].decode()
        if path in self.held:
            assert self.go.wait(60)
        body = self.bodies.get(path)
        connection.sendall(ok(body) if body is not None else NOT_FOUND)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        """What was asked for."""
        return [head.split(b" ")[1].decode() for head in self.requests]
