"""One request's way to an upstream of a group: the one whose turn it is, and others beside it.

    Race ─┬─ Connecting (the pool whose turn it is)
          └─ Connecting (another pool, when the first is slow or has failed)

Nothing of the request has been sent while this lasts, so it reaches one upstream alone.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable, Collection

from kssl.proxy.upstream.connecting import ATTEMPT_DELAY, Connecting, Connector
from kssl.proxy.upstream.connection import UpstreamConnection
from kssl.proxy.upstream.pool import Pool

Instead = Callable[[Collection[Pool], float], Pool | None]
"""Return another pool than those tried, at a time of the event loop; None if there is none left."""


class Race:
    """Asks for a connection; the first one that is open wins."""

    def __init__(
        self, loop: AbstractEventLoop, instead: Instead, first: Pool, connector: Connector[Pool]
    ) -> None:
        self._loop = loop
        self._instead = instead
        self._connector: Connector[Pool] | None = connector
        self._tried: list[Pool] = []
        self._racing: dict[Pool, tuple[Connecting[Pool], float]] = {}  # and when each began
        self._slow: TimerHandle | None = None
        self._join(first)

    def cancel(self) -> None:
        """Ends all attempts; the connector is not told."""
        self._finish()
        for attempt, _ in self._racing.values():
            attempt.cancel()
        self._racing.clear()

    def _join(self, pool: Pool) -> None:
        self._tried.append(pool)
        self._racing[pool] = pool.connect(self), self._loop.time()
        self._wait()

    def _wait(self) -> None:
        if self._slow is not None:
            self._slow.cancel()
        self._slow = self._loop.call_later(ATTEMPT_DELAY, self._too_slow)

    def _too_slow(self) -> None:
        self._slow = None
        if any(attempt.reached for attempt, _ in self._racing.values()):
            return  # A handshake takes its time, and another would cost two upstreams theirs.
        self._try_another()

    def _try_another(self) -> bool:
        """Returns whether there is one left that has not been tried."""
        other = self._instead(self._tried, self._loop.time())
        if other is None:
            return False
        kept = other.take()
        if kept is None:
            self._join(other)
        else:
            self.upstream_connected(other, kept)
        return True

    # -- the connector of the attempts -----------------------------------------------------

    def upstream_connected(self, pool: Pool, connection: UpstreamConnection) -> None:
        connector = self._finish()
        assert connector is not None, "cancelled"
        now = self._loop.time()
        began = self._racing.pop(pool)[1] if pool in self._racing else now
        for other, (attempt, since) in self._racing.items():
            # One that began later had less time, and one that is in the handshake is no hole.
            if since < began and now - since >= ATTEMPT_DELAY and not attempt.reached:
                other.outrun(attempt, connector, ATTEMPT_DELAY)
            else:
                other.health.give_back(connector)
                attempt.cancel()
        self._racing.clear()
        connector.upstream_connected(pool, connection)

    def upstream_refused(self, pool: Pool, reason: str, *, timed_out: bool) -> None:
        del self._racing[pool]
        connector = self._connector
        assert connector is not None, "cancelled"
        pool.failed(connector, reason)
        if not self._try_another() and not self._racing:
            self._finish()
            connector.upstream_refused(pool, reason, timed_out=timed_out)

    def _finish(self) -> Connector[Pool] | None:
        if self._slow is not None:
            self._slow.cancel()
            self._slow = None
        connector, self._connector = self._connector, None
        return connector
