"""A listening socket: accepts, refuses above MaxConnections, survives running out of files."""

from __future__ import annotations

import logging
import os
import socket
from asyncio import AbstractEventLoop

from kssl.fastpath.logs.messages import limited
from kssl.proxy.frontend.client import ClientConnection
from kssl.proxy.frontend.endpoint import Endpoint
from kssl.proxy.frontend.front import Front
from kssl.proxy.journal.record import ConnectionEvent, ConnectionInfo

log = logging.getLogger("kssl")

# Connections taken in one turn of the event loop, so that a flood leaves room for the others: each
# costs some 50 µs.
_ACCEPTS_PER_TURN = 16

# Seconds without accepting after the process ran out of file descriptors.
_PAUSE = 0.2

# It is said again after so many pauses: one line in ten seconds.
_SAY_EVERY = 50


class Listener:
    """Turns connections to one endpoint into `ClientConnection`s until closed."""

    def __init__(
        self, loop: AbstractEventLoop, front: Front, endpoint: Endpoint, sock: socket.socket
    ) -> None:
        self.endpoint = endpoint
        self._loop = loop
        self._front = front
        self._sock = sock
        self._refused = 0
        self._exhaustions = 0
        loop.add_reader(sock.fileno(), self._accept)

    @property
    def sock(self) -> socket.socket:
        return self._sock

    def close(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock.fileno())
            self._sock.close()

    def drain(self) -> None:
        """Takes all that the kernel has accepted already: closing would reset it."""
        while self._sock.fileno() >= 0 and self._accept():
            pass

    def _accept(self) -> bool:
        """Returns whether there may be more."""
        front, capacity = self._front, self._front.capacity
        most = front.parameters.max_connections
        if capacity.refusal(front.open_connections, most):
            front.drop_closed()
        front.watch_memory()
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError as error:
                self._exhausted(error)
                return False
            refusal = capacity.refusal(front.open_connections, most)
            if refusal:
                self._log_refused(sock, address)
                sock.close()
                self._refused += 1
                if self._refused == 1 or self._refused % 1000 == 0:
                    log.warning(
                        "%s reached; %d refused so far",
                        refusal,
                        self._refused,
                        extra=limited("Connections_Refused"),
                    )
                continue
            self._refused = 0  # the next time that a limit is reached is told again
            sock.setblocking(False)
            ClientConnection(front, self.endpoint, sock, (address[0], address[1]))
        return True

    def _log_refused(self, sock: socket.socket, address: tuple[str, int]) -> None:
        info = ConnectionInfo((address[0], address[1]), self.endpoint.address_of(sock))
        self._front.journal.happened(ConnectionEvent(info, "Connections_Refused"))

    def _exhausted(self, error: OSError) -> None:
        """EMFILE and the like: the connection stays in the queue, so accepting at once again
        would spin."""
        if self._exhaustions % _SAY_EVERY == 0:
            log.error("cannot accept: %s; trying on", os.strerror(error.errno or 0))
        self._exhaustions += 1
        self._loop.remove_reader(self._sock.fileno())
        self._loop.call_later(_PAUSE, self._accept_again)

    def _accept_again(self) -> None:
        if self._sock.fileno() >= 0:
            self._loop.add_reader(self._sock.fileno(), self._accept)
