"""The pool of connections to one upstream: kept-alive ones first, new ones otherwise."""

from __future__ import annotations

import errno
import logging
import os
import socket
from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from typing import Any, Protocol

from config.errors import ConfigError
from config.target import Target
from fastpath.channel import Channel
from fastpath.keepalive import keep_alive
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.secure import SecureOpening, TlsClient

log = logging.getLogger("kssl")

# Idle connections kept. More than the upstream is asked for at once would only tie up its memory.
MAX_IDLE = 256

# Seconds an idle connection is kept. Most servers close theirs sooner, which is noticed at once.
MAX_IDLE_TIME = 60.0

_IN_PROGRESS = (errno.EINPROGRESS, errno.EAGAIN)

Address = tuple[socket.AddressFamily, Any]


class Connector(Protocol):
    """Who asked for a new connection. Exactly one of these is called, unless cancelled."""

    def upstream_connected(self, connection: UpstreamConnection) -> None: ...

    def upstream_refused(self, reason: str, *, timed_out: bool) -> None: ...


def resolve(target: Target) -> list[Address]:
    """The addresses of ``target``, looked up when the service starts or reloads. May take time.

    Raises ConfigError when the name is not known.
    """
    if target.unix_path is not None:
        return [(socket.AF_UNIX, target.unix_path)]
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(
            f"cannot look up the upstream {target.host!r}: {error.strerror}"
        ) from None
    addresses = [(family, address) for family, _, _, _, address in found]
    return list(dict.fromkeys(addresses))


class Pool:
    """Connections to one upstream, last used first."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        target: Target,
        connect_timeout: float,
        addresses: list[Address] | None = None,
        secure: TlsClient | None = None,
    ) -> None:
        """``addresses`` as `resolve` gives them; None: they are looked up here. ``secure``: for a
        target with TLS."""
        self.target = target
        self.secure = secure
        self.refused_until = 0.0  # of a `Group`: not before this time; 0 while it answers
        self._loop = loop
        self._timeout = connect_timeout
        self._addresses = resolve(target) if addresses is None else addresses
        self._idle: deque[UpstreamConnection] = deque()
        self._most_idle = MAX_IDLE

    def update(self, connect_timeout: float, addresses: list[Address]) -> None:
        """For connections opened from now on."""
        self._timeout = connect_timeout
        if set(self._addresses) != set(addresses):  # else the one that answered stays the first
            self._addresses = addresses

    @property
    def idle(self) -> int:
        """Connections that are kept for the next exchange."""
        return len(self._idle)

    def take(self) -> UpstreamConnection | None:
        """A kept-alive connection, if there is one."""
        return self._idle.pop() if self._idle else None

    def connect(self, connector: Connector) -> Connecting:
        """Opens a new connection for ``connector``."""
        return Connecting(self._loop, self, connector, self._addresses, self._timeout)

    def release(self, connection: UpstreamConnection, now: float) -> None:
        """Keeps a connection whose exchange is complete on both sides."""
        if not connection.reusable or len(self._idle) >= self._most_idle:
            connection.close()
            return
        connection.user = None
        connection.reused = True
        connection.idle_since = now
        connection.channel.start_reading()
        self._idle.append(connection)

    def sweep(self, now: float) -> None:
        """Closes what has been idle for long; the oldest stand in front."""
        while self._idle and now - self._idle[0].idle_since > MAX_IDLE_TIME:
            self._idle.popleft().close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    def retire(self) -> None:
        """No site has this upstream any more: whatever is idle, or will be, is closed."""
        self._most_idle = 0
        self.close()

    def forget(self, connection: UpstreamConnection) -> None:
        """An idle connection was closed by the upstream."""
        if connection in self._idle:
            self._idle.remove(connection)

    def answered(self, address: Address) -> None:
        """Tries the address that answered first from now on (`localhost` is often both
        ``::1`` and ``127.0.0.1``, and an app listens on one)."""
        if self.refused_until:
            self.refused_until = 0.0
            log.warning("upstream %s: answers again", self.target)
        if self._addresses[0] != address:
            self._addresses = [address, *(a for a in self._addresses if a != address)]


class Connecting:
    """One attempt, over all addresses in turn."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        pool: Pool,
        connector: Connector,
        addresses: list[Address],
        timeout: float,
    ) -> None:
        self._loop = loop
        self._pool = pool
        self._connector: Connector | None = connector
        self._left = list(addresses)
        self._reason = "no address"
        self._sock: socket.socket | None = None
        self._opening: SecureOpening | None = None
        self._address: Address | None = None
        self._timer: TimerHandle = loop.call_later(timeout, self._timed_out)
        # Not from within the constructor: the connector does not have this object yet.
        loop.call_soon(self._next)

    def cancel(self) -> None:
        self._connector = None
        self._timer.cancel()
        self._drop()

    def _next(self) -> None:
        while self._connector is not None and self._left:
            family, address = self._address = self._left.pop(0)
            try:
                self._sock = sock = socket.socket(family, socket.SOCK_STREAM)
                sock.setblocking(False)
                if family != socket.AF_UNIX:
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    keep_alive(sock)
                code = sock.connect_ex(address)
            except OSError as error:
                code = error.errno or errno.EIO
            if code == 0:
                self._connected()
                return
            if code == errno.EAGAIN and family == socket.AF_UNIX:
                code = errno.ECONNREFUSED  # its queue is full (unix(7)): not writable either
            if code in _IN_PROGRESS:
                self._loop.add_writer(sock.fileno(), self._writable)
                return
            self._failed(code)
        if self._connector is not None:
            self._refuse(self._reason, timed_out=False)

    def _writable(self) -> None:
        assert self._sock is not None
        self._loop.remove_writer(self._sock.fileno())
        code = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code == 0:
            self._connected()
        else:
            self._failed(code)
            self._next()

    def _failed(self, code: int) -> None:
        self._reason = os.strerror(code).lower()
        self._drop()

    def _drop(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None
        if self._sock is not None:
            if self._sock.fileno() >= 0:
                self._loop.remove_writer(self._sock.fileno())
            self._sock.close()
            self._sock = None

    def _connected(self) -> None:
        pool = self._pool
        sock, self._sock = self._sock, None
        assert sock is not None
        assert self._address is not None
        channel = Channel(
            self._loop,
            sock,
            _unused,
            _unused,
            _unused_error,
            local=self._address[0] == socket.AF_UNIX,
        )
        tls = pool.target.tls
        if tls is None:
            self._opened(UpstreamConnection(channel, pool.forget))
        else:
            assert pool.secure is not None, "a target with TLS"
            self._opening = SecureOpening(
                pool.secure, channel, tls, self._opened, self._handshake_failed, pool.forget
            )

    def _opened(self, connection: UpstreamConnection) -> None:
        self._timer.cancel()
        self._opening = None
        connector, self._connector = self._connector, None
        assert connector is not None, "cancelled"
        assert self._address is not None
        self._pool.answered(self._address)
        connector.upstream_connected(connection)

    def _handshake_failed(self, reason: str) -> None:
        """Another address would most likely say the same."""
        self._opening = None
        self._refuse(reason, timed_out=False)

    def _timed_out(self) -> None:
        what = "TLS handshake" if self._opening is not None else "connection attempt"
        self._drop()
        self._refuse(f"no answer to the {what}", timed_out=True)

    def _refuse(self, reason: str, *, timed_out: bool) -> None:
        self._timer.cancel()
        connector, self._connector = self._connector, None
        if connector is not None:
            connector.upstream_refused(reason, timed_out=timed_out)


def _unused() -> None:
    """Replaced by `UpstreamConnection` before the loop runs again."""


def _unused_error(error: OSError) -> None:
    """Likewise."""
