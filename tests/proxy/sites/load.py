"""Clients that ask without pause and count on an answer."""

from __future__ import annotations

import random
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tests.proxy.sites.many import SECONDS, Sites

_KEPT = 4  # connections that each client has open at most


@dataclass(frozen=True, slots=True)
class Seen:
    """A new connection, with the time of its beginning and of its first answer, and the
    certificate that it got, DER."""

    began: float
    answered: float
    site: int
    certificate: bytes


class Visit:
    """A verified connection to one site."""

    def __init__(
        self, sites: Sites, port: int, site: int, sock: socket.socket | None = None
    ) -> None:
        """`sock`: connected already, and nothing sent."""
        self.site = site
        self._name = sites.names[site]
        sock = sock or socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        try:
            self._sock = sites.context.wrap_socket(sock, server_hostname=self._name)
        except BaseException:
            sock.close()
            raise
        found = self._sock.getpeercert(binary_form=True)
        assert found is not None
        self.certificate = found

    def ask(self) -> bool:
        """One request, which must be answered by the site's app. Whether more may follow."""
        self._sock.sendall(f"GET / HTTP/1.1\r\nHost: {self._name}\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._receive()
        head, _, body = received.partition(b"\r\n\r\n")
        fields = head.lower().split(b"\r\n")
        (length,) = (line for line in fields if line.startswith(b"content-length: "))
        while len(body) < int(length[16:]):
            body += self._receive()
        assert head.startswith(b"HTTP/1.1 200 "), received
        assert body == b"%d" % self.site, received
        return b"connection: close" not in fields

    def _receive(self) -> bytes:
        data = self._sock.recv(1 << 16)
        assert data, "closed before the answer was complete"
        return data

    def close(self) -> None:
        """With close_notify, not waiting for the proxy's."""
        try:
            self._sock.settimeout(0)
            self._sock.unwrap()
        except (ssl.SSLError, OSError):
            pass  # it has closed first, or would have to be waited for
        finally:
            self._sock.close()


class Load:
    """`threads` clients, from the beginning of a block to its end. Each has some connections,
    asks on one of them or on a new one, by chance. `seed` makes the order of a client."""

    def __init__(self, sites: Sites, port: int, *, threads: int = 8, seed: int = 0) -> None:
        self.failures: list[str] = []
        self.seen: list[Seen] = []
        self._sites = sites
        self._port = port
        self._answers = [0] * threads  # a number for each, for += is not atomic
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number, random.Random(f"{seed} {number}")))
            for number in range(threads)
        ]

    @property
    def answers(self) -> int:
        return sum(self._answers)

    def _run(self, number: int, choose: random.Random) -> None:
        visits: list[Visit] = []
        while not self._stop.is_set() and len(self.failures) < 10:
            try:
                self._one(choose, visits)
                self._answers[number] += 1
            except (OSError, AssertionError, ValueError) as error:
                self.failures.append(f"{time.monotonic():.3f} {type(error).__name__}: {error}")
        for visit in visits:
            visit.close()

    def _one(self, choose: random.Random, visits: list[Visit]) -> None:
        if len(visits) == _KEPT or (visits and choose.random() < 0.7):
            visit = visits.pop(choose.randrange(len(visits)))
            keep = visit.ask()
        else:
            site, began = choose.randrange(len(self._sites.names)), time.monotonic()
            visit = Visit(self._sites, self._port, site)
            keep = visit.ask()
            self.seen.append(Seen(began, time.monotonic(), site, visit.certificate))
        if keep and choose.random() < 0.7:
            visits.append(visit)
        else:
            visit.close()

    def check(self) -> None:
        """Nothing failed, and of each site's certificates later connections got later ones."""
        assert not self.failures, self.failures
        for site, certificates in enumerate(self._sites.certificates):
            seen = [each for each in self.seen if each.site == site]
            for new in seen:
                number = certificates.index(new.certificate)
                for old in seen:
                    if old.answered < new.began:
                        assert certificates.index(old.certificate) <= number

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(2 * SECONDS)
            assert not thread.is_alive()
