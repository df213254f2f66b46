"""A steady load of clients that have nothing to do with what else goes on, and how long each
waits."""

from __future__ import annotations

import itertools
import ssl
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.acceptance.guarded import SECONDS, connect

THREADS = 2
_BUFFER = 65536


@dataclass
class Waits:
    """Seconds, by what was done."""

    of: dict[str, list[float]] = field(default_factory=dict)

    def add(self, what: str, seconds: float) -> None:
        self.of.setdefault(what, []).append(seconds)

    def p99(self, what: str) -> float:
        return statistics.quantiles(self.of[what], n=100)[98]


class Steady:
    """Two sites: requests on connections that stay, and new connections with full handshakes.

    ``plain`` asks for no certificate. At ``asking``, each new connection is another client's, of
    ``clients``, while there are enough of them.
    """

    def __init__(
        self, port: int, plain: str, asking: str, nobody: ssl.SSLContext,
        clients: Sequence[ssl.SSLContext],
    ) -> None:  # fmt: skip
        self._port = port
        self._nobody = nobody
        self._plain, self._asking = plain, asking
        self._clients = itertools.cycle(clients)
        self._lock = threading.Lock()

    def run(self, seconds: float) -> Waits:
        """Raises what a client raised."""
        waits, failed = Waits(), list[BaseException]()
        end = time.monotonic() + seconds

        def work() -> None:
            try:
                self._work(waits, end)
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(seconds + SECONDS)
        if failed:
            raise failed[0]
        return waits

    def _work(self, waits: Waits, end: float) -> None:
        kept = {name: self._connected(name) for name in (self._plain, self._asking)}
        names = {self._plain: "site without", self._asking: "site with certificates"}
        try:
            while time.monotonic() < end:
                for name, words in names.items():
                    self._timed(waits, f"request, {words}", partial(ask, kept[name], name))
                    self._timed(waits, f"connection, {words}", partial(self._visit, name))
        finally:
            for tls in kept.values():
                tls.close()

    def _timed(self, waits: Waits, what: str, act: Callable[[], None]) -> None:
        began = time.perf_counter()
        act()
        took = time.perf_counter() - began
        with self._lock:
            waits.add(what, took)

    def _visit(self, name: str) -> None:
        with self._connected(name) as tls:
            ask(tls, name)

    def _connected(self, name: str) -> ssl.SSLSocket:
        with self._lock:
            context = self._nobody if name == self._plain else next(self._clients)
        return connect(self._port, context, name)


def ask(tls: ssl.SSLSocket, name: str) -> None:
    """One request, which must be answered 200."""
    tls.sendall(f"GET /tiny HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    received = b""
    while b"\r\n\r\n" not in received:
        received += _receive(tls)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), received
    (length,) = (
        line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")
    )
    while len(body) < int(length[16:]):
        body += _receive(tls)


def _receive(tls: ssl.SSLSocket) -> bytes:
    data = tls.recv(_BUFFER)
    assert data, "closed before the answer was complete"
    return data
