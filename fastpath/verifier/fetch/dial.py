"""Connections to addresses that were checked, and a way to end them from another thread."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator

from kssl.fastpath.verifier.fetch.errors import stopping
from kssl.fastpath.verifier.fetch.url import Address

# Address, port, seconds → a connected socket. Raises OSError.
Connect = Callable[[Address, int, float], socket.socket]


def connect(address: Address, port: int, seconds: float) -> socket.socket:
    """To that address and no other: nothing is looked up here, and no proxy asked."""
    v6 = isinstance(address, ipaddress.IPv6Address)
    connection = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_STREAM)
    try:
        connection.settimeout(seconds)
        connection.connect((str(address), port))
    except BaseException:
        connection.close()
        raise
    return connection


def is_here(connection: socket.socket, address: Address) -> bool:
    """Whether ``address`` is one of this machine's own: both ends of the connection have it."""
    return bool(connection.getsockname()[0] == str(address))


class Sockets:
    """The sockets in use, so that `close` can end reads that wait. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._closed = False

    @contextlib.contextmanager
    def using(self, connection: socket.socket) -> Iterator[None]:
        """Closes ``connection`` at the end. Raises FetchFailure after `close`."""
        try:
            with self._lock:
                self.check()
                self._open.add(connection)
            yield
        finally:
            with self._lock:  # `close` must not meet a descriptor that is somebody else's by now
                self._open.discard(connection)
                connection.close()

    def check(self) -> None:
        """Raises FetchFailure after `close`."""
        if self._closed:
            raise stopping()

    def close(self) -> None:
        """Whoever reads or writes meets the end of the connection at once."""
        with self._lock:
            self._closed = True
            for connection in self._open:
                with contextlib.suppress(OSError):  # the peer was first
                    connection.shutdown(socket.SHUT_RDWR)
