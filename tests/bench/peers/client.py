"""A client that knows which connection it is on."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
from collections.abc import Iterator

from kssl.bench.subjects import Subject

_TIMEOUT_SECONDS = 60.0


class Client:
    """One connection to a subject; all requests go over it, or fail."""

    def __init__(self, sock: socket.socket, port: int) -> None:
        self.sock = sock
        self._http = http.client.HTTPConnection("localhost", port)
        self._http.auto_open = 0
        self._http.sock = sock

    def get(self, path: str) -> bytes:
        return self._ask("GET", path, None)

    def post(self, path: str, body: bytes) -> bytes:
        return self._ask("POST", path, body)

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        self._http.request(method, path, body)
        with self._http.getresponse() as response:
            content = response.read()
        assert response.status == 200, content
        return content

    @property
    def tls(self) -> ssl.SSLSocket:
        assert isinstance(self.sock, ssl.SSLSocket)
        return self.sock


@contextlib.contextmanager
def connected(
    subject: Subject, context: ssl.SSLContext, session: ssl.SSLSession | None = None
) -> Iterator[Client]:
    """A client of ``subject``, with TLS if it has that."""
    with socket.create_connection(("127.0.0.1", subject.port), _TIMEOUT_SECONDS) as plain:
        if subject.scheme == "http":
            yield Client(plain, subject.port)
            return
        with context.wrap_socket(plain, server_hostname="localhost", session=session) as sock:
            yield Client(sock, subject.port)
