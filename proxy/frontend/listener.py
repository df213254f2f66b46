"""The listening socket: accepts, refuses above MaxConnections, survives running out of files."""

from __future__ import annotations

import errno
import logging
import os
import resource
import socket
import sys
from asyncio import AbstractEventLoop

from config.errors import ConfigError
from config.target import Listen
from fastpath.keepalive import keep_alive
from proxy.frontend.client import ClientConnection
from proxy.frontend.endpoint import Endpoint
from proxy.frontend.errorline import write_line
from proxy.frontend.front import Front

log = logging.getLogger("kssl")

# Connections that wait in the kernel for accept; the kernel lowers it to net.core.somaxconn.
_BACKLOG = 4096

# Connections taken in one turn of the event loop, so that a flood leaves room for the others: each
# costs some 50 µs.
_ACCEPTS_PER_TURN = 16

# Seconds without accepting after the process ran out of file descriptors.
_PAUSE = 0.2

# It is said again after so many pauses: one line in ten seconds.
_SAY_EVERY = 50

# Descriptors that are for neither clients nor upstreams. Of the others clients may have 5/8: one
# that waits for an answer needs a second, for its upstream, but never all of them do.
_FILES_FOR_US = 64


def open_listener(listen: Listen) -> socket.socket:
    """Binds and listens. Raises ConfigError in words for people."""
    try:
        found = socket.getaddrinfo(
            listen.host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        family, _, _, _, address = found[0]
        # [::] is IPv6 alone, so that 0.0.0.0 beside it is another address, as for kssl.toml.
        sock = socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(_explain(error, listen)) from None
    sock.setblocking(False)
    # Linux gives accepted sockets the options of their listener (tcp(7), socket(7)).
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    keep_alive(sock)
    return sock


def _explain(error: OSError, listen: Listen) -> str:
    where = f"cannot listen on {listen.netloc}"
    if error.errno == errno.EADDRINUSE:
        return f"{where}: the port is in use; choose another with --listen"
    if error.errno == errno.EACCES:
        return f"{where}: ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{where}: this machine does not have that address"
    return f"{where}: {error.strerror or error}"


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
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._by_files = max(1, (limit - _FILES_FOR_US) * 5 // 8)
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
        front = self._front
        maximum = min(front.parameters.max_connections or sys.maxsize, self._by_files)
        if front.open_connections >= maximum:
            front.drop_closed()
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, address = self._sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError as error:
                self._exhausted(error)
                return False
            if front.open_connections >= maximum:
                self._log_refused(sock, address)
                sock.close()
                self._refused += 1
                if self._refused == 1 or self._refused % 1000 == 0:
                    what = (
                        "the limit of open files" if maximum == self._by_files else "MaxConnections"
                    )
                    log.warning("%s (%d) reached; %d refused so far", what, maximum, self._refused)
                continue
            sock.setblocking(False)
            ClientConnection(front, self.endpoint, sock, (address[0], address[1]))
        return True

    def _log_refused(self, sock: socket.socket, address: tuple[str, int]) -> None:
        write_line(
            self._front.error_log,
            client=(address[0], address[1]),
            server=self.endpoint.address_of(sock),
            reason="Connections_Refused",
        )

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
