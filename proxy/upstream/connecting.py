"""A new connection to one upstream: its addresses raced, then TLS if it has it.

    Connecting ─┬─ Dial (first address)
                ├─ Dial (next one, when the first is slow or fails)
                └─ SecureOpening, on the first that connects

The race is that of RFC 8305 §5. Only connecting is raced: nothing of a request has been sent.
"""

from __future__ import annotations

import errno
from asyncio import AbstractEventLoop, TimerHandle
from collections import deque
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from kssl.config.target import Target
from kssl.fastpath.net.channel import Channel
from kssl.proxy.upstream.connection import UpstreamConnection
from kssl.proxy.upstream.dial import Dial, Place
from kssl.proxy.upstream.secure import SecureOpening, TlsClient

# Seconds that a TCP connect may take before the next address, or upstream, is tried beside it: the
# Connection Attempt Delay that RFC 8305 §5 recommends.
ATTEMPT_DELAY = 0.25

# This machine has no way to such an address, whatever listens there.
_NOT_HERE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENETUNREACH)


class Destination(Protocol):
    """What a connection is opened for, as `Connecting` knows it: a `Pool`."""

    target: Target
    secure: TlsClient | None
    unknown: str

    @property
    def unreachable(self) -> Callable[[], None]:
        """To be called when no address could be connected to."""

    def connected(self, place: Place) -> None:
        """Note the address that has answered."""

    def forget(self, connection: UpstreamConnection) -> None:
        """Note that an idle connection was closed by the upstream."""


PoolT = TypeVar("PoolT", bound=Destination)
ToldT = TypeVar("ToldT", contravariant=True)


class Connector(Protocol[ToldT]):
    """The party that asked for a new connection. Exactly one of these is called, unless it has
    cancelled."""

    def upstream_connected(self, pool: ToldT, connection: UpstreamConnection) -> None: ...

    def upstream_refused(self, pool: ToldT, reason: str, *, timed_out: bool) -> None: ...


class Attempt(Protocol):
    """What can be cancelled while it connects."""

    def cancel(self) -> None: ...


class Connecting(Generic[PoolT]):
    """One attempt, over all addresses of a pool."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        pool: PoolT,
        connector: Connector[PoolT],
        places: list[Place],
        timeout: float,
    ) -> None:
        self.connector: Connector[PoolT] | None = connector
        """The party that is told; None when it is over."""
        self._loop = loop
        self._pool = pool
        self._timeout = timeout
        self._left = deque(places)
        self._reason = pool.unknown or "no address"
        self._tried = False  # the reason is an address's
        self._dials: list[Dial] = []  # that have no result yet
        self._opening: SecureOpening | None = None
        self._place: Place | None = None  # the one that has connected
        self._next_one: TimerHandle | None = None
        self._timer: TimerHandle = loop.call_later(timeout, self._timed_out)
        # Not from within the constructor: the connector does not have this object yet.
        loop.call_soon(self._next)

    @property
    def reached(self) -> bool:
        """Whether the upstream has taken the connection, so that it is not the network that waits:
        what is left is the handshake."""
        return self._place is not None

    def cancel(self) -> None:
        """End it; the connector is not told."""
        self._finish()

    def _next(self) -> None:
        """Try further addresses until one is on its way; the next one when that is slow."""
        self._stop_waiting()
        while self.connector is not None and self._left:
            dial = Dial(self._loop, self._left.popleft(), self._connected, self._failed)
            if dial.start():
                self._dials.append(dial)
                if self._left:
                    self._next_one = self._loop.call_later(ATTEMPT_DELAY, self._next)
                return
            if not dial.error:
                self._connected(dial)
                return
            self._note(dial)
        if not self._dials:
            self._refuse(self._reason, timed_out=False)

    def _failed(self, dial: Dial) -> None:
        self._dials.remove(dial)
        self._note(dial)
        self._next()

    def _note(self, dial: Dial) -> None:
        """Keep the reason for people. Of localhost a machine may have one address alone, which says
        nothing about the app."""
        if not self._tried or dial.error not in _NOT_HERE:
            self._reason = dial.reason
        self._tried = self._tried or dial.error not in _NOT_HERE

    def _connected(self, dial: Dial) -> None:
        self._stop_waiting()
        for other in self._dials:
            if other is not dial:
                other.close()
        self._dials.clear()
        self._place = dial.place
        pool = self._pool
        channel = Channel(
            self._loop, dial.take(), _unused, _unused, _unused_error, local=dial.local
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
        self._opening = None
        assert self._place is not None
        connection.place = self._place
        connector = self._finish()
        assert connector is not None, "cancelled"
        self._pool.connected(connection.place)
        connector.upstream_connected(self._pool, connection)

    def _handshake_failed(self, reason: str) -> None:
        """Another address would most likely say the same."""
        self._opening = None
        self._refuse(reason, timed_out=False)

    def _timed_out(self) -> None:
        what = "TLS handshake" if self._opening is not None else "connection attempt"
        limit = f"UpstreamConnectTimeout ({self._timeout:g} s)"
        self._refuse(f"no answer to the {what} within {limit}", timed_out=True)

    def _refuse(self, reason: str, *, timed_out: bool) -> None:
        connector = self._finish()
        if connector is not None:
            self._pool.unreachable()
            connector.upstream_refused(self._pool, reason, timed_out=timed_out)

    def _finish(self) -> Connector[PoolT] | None:
        """Let go of everything. Return the connector."""
        self._timer.cancel()
        self._stop_waiting()
        for dial in self._dials:
            dial.close()
        self._dials.clear()
        self._left.clear()
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        connector, self.connector = self.connector, None
        return connector

    def _stop_waiting(self) -> None:
        if self._next_one is not None:
            self._next_one.cancel()
            self._next_one = None


def _unused() -> None:
    """Replaced by `UpstreamConnection` before the loop runs again."""


def _unused_error(error: OSError) -> None:
    """Likewise."""
