"""The pool of connections to one upstream: kept-alive ones first, new ones otherwise."""

from __future__ import annotations

import logging
import random
import sys
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable, Sequence

from kssl.config.target import Target
from kssl.proxy.upstream.connecting import Connecting, Connector
from kssl.proxy.upstream.connection import UpstreamConnection
from kssl.proxy.upstream.dial import Address, Place
from kssl.proxy.upstream.health import Health
from kssl.proxy.upstream.secure import TlsClient

log = logging.getLogger("kssl")

# Idle connections kept. More than the upstream is asked for at once would only tie up its memory.
MAX_IDLE = 256

# Seconds an idle connection is kept. Most servers close theirs sooner, which is noticed at once.
MAX_IDLE_TIME = 60.0

# Seconds by which we are sooner than an app that says when it closes an idle connection
# (Keep-Alive: timeout), so that no request is on its way when it does: the clock of the pool is as
# old as the last sweep, half a second at most, and the rest is for the network. Half of a limit
# that is shorter than twice this.
MARGIN = 1.0


def _nothing() -> None:
    """No name to be looked up again."""


class Pool:
    """Connections to one upstream, last used first."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        target: Target,
        connect_timeout: float,
        addresses: Sequence[Address],
        secure: TlsClient | None = None,
        *,
        unreachable: Callable[[], None] = _nothing,
    ) -> None:
        """``secure``: for a target with TLS. ``unreachable`` is called when no address could be
        connected to: they may be others by now."""
        self.target = target
        self.secure = secure
        self.health = Health()  # for groups of several
        self.unknown = ""
        """Why there is no address, in words."""
        self.unreachable = unreachable
        self._loop = loop
        self._timeout = connect_timeout
        self._places = [Place(address) for address in addresses]
        self._idle: deque[UpstreamConnection] = deque()
        self._most_idle = MAX_IDLE
        self._probe: Connecting[Pool] | None = None
        self.uncertain = 0
        """Requests on a kept connection that ended before any answer, and that could not be sent
        again: the app may or may not have acted on them."""

    def update(self, connect_timeout: float) -> None:
        """Set the time limit of connections opened from now on."""
        self._timeout = connect_timeout

    def move(self, addresses: Sequence[Address], unknown: str = "") -> None:
        """Use these addresses from now on. Connections to others end: idle ones now, those in use
        when they are released. ``unknown``: why there is none."""
        self.unknown = unknown
        there = {place.address: place for place in self._places}
        if there.keys() == set(addresses):  # else the one that answered stays the first
            return
        for address in there.keys() - set(addresses):
            there[address].gone = True
        self._places = [there.get(address) or Place(address) for address in addresses]
        kept = [connection for connection in self._idle if not connection.place.gone]
        ended = [connection for connection in self._idle if connection.place.gone]
        self._idle = deque(kept)
        for connection in ended:
            connection.close()

    @property
    def addresses(self) -> list[Address]:
        """Where the upstream is, in the order in which they are tried."""
        return [place.address for place in self._places]

    @property
    def idle(self) -> int:
        """Connections that are kept for the next exchange."""
        return len(self._idle)

    def take(self, size: int = sys.maxsize) -> UpstreamConnection | None:
        """A kept-alive connection for an exchange that sends ``size`` bytes first, if there is one
        that is still good. Of a size that is not known, the kernel is asked whether it is."""
        while self._idle:
            connection = self._idle.pop()
            if connection.take(size):
                return connection
            connection.close()
        return None

    def connect(self, connector: Connector[Pool]) -> Connecting[Pool]:
        """Opens a new connection for ``connector``."""
        return Connecting(self._loop, self, connector, self._places, self._timeout)

    def release(self, connection: UpstreamConnection, now: float, limit: int | None = None) -> None:
        """Keeps a connection whose exchange is complete on both sides; ``limit``: for so many
        seconds at most, says the app."""
        idle = self._idle
        if (
            len(idle) >= self._most_idle
            or connection.place.gone
            or limit == 0
            or not connection.reusable
        ):
            connection.let_go(complete=True)
            return
        connection.user = None
        connection.reused = True
        connection.idle_until = now + (MAX_IDLE_TIME if limit is None else _kept(limit))
        connection.channel.start_reading()
        idle.append(connection)

    def sweep(self, now: float) -> None:
        """Closes what has been idle for as long as it may be."""
        due = [connection for connection in self._idle if connection.idle_until <= now]
        if due:
            self._idle = deque(each for each in self._idle if each.idle_until > now)
            for connection in due:
                connection.close()

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()
        probe, self._probe = self._probe, None
        if probe is not None:
            self.health.give_back(probe)
            probe.cancel()

    def close_oldest(self) -> bool:
        """Close the connection that has been idle for longest; return whether there was one."""
        if self._idle:
            self._idle.popleft().close()
            return True
        return False

    def retire(self) -> None:
        """No site has this upstream any more: whatever is idle, or will be, is closed."""
        self._most_idle = 0
        self.close()

    def forget(self, connection: UpstreamConnection) -> None:
        """An idle connection was closed by the upstream."""
        if connection in self._idle:
            self._idle.remove(connection)

    # -- how it is doing -------------------------------------------------------------------

    def connected(self, place: Place) -> None:
        """Tries the address that answered first from now on (`localhost` is often both
        ``::1`` and ``127.0.0.1``, and an app listens on one)."""
        if self.health.failures and self.health.connected():
            self._well_again()
        if self._places and self._places[0] is not place and not place.gone:
            self._places = [place, *(each for each in self._places if each is not place)]

    def answered(self) -> None:
        """Notes a response, where `health` has failures."""
        if self.health.answered():
            self._well_again()

    def failed(self, by: object, reason: str, *, silent: bool = False) -> None:
        """Notes that ``by`` found it out of order (`Health.failed`)."""
        jitter = random.random()  # noqa: S311 - spreads trials; no secret
        if self.health.failed(by, self._loop.time(), jitter, silent=silent):
            log.error("upstream %s: %s; others take its requests", self.target, reason)

    def outrun(self, attempt: Connecting[Pool], by: object, delay: float) -> None:
        """Another upstream was faster than ``attempt`` of the request ``by``, although it began
        ``delay`` seconds later. The attempt goes on as the one trial, without a request that waits
        for it: a slow network is told from none."""
        self.failed(by, f"no answer to the connection attempt within {delay:g} s")
        if self.health.trial is None and self._most_idle:
            self.health.try_out(attempt, self._loop.time())
            attempt.connector = self
            self._probe = attempt
        else:
            attempt.cancel()

    def _well_again(self) -> None:
        log.warning("upstream %s: answers again", self.target)

    # -- the connector of a trial without a request ----------------------------------------

    def upstream_connected(self, pool: Pool, connection: UpstreamConnection) -> None:
        self.health.give_back(self._end_probe())
        # With TLS it is about to be started.
        self._loop.call_soon(self._keep, connection)

    def upstream_refused(self, pool: Pool, reason: str, *, timed_out: bool) -> None:
        probe = self._end_probe()
        self.failed(probe, reason)

    def _end_probe(self) -> Connecting[Pool] | None:
        probe, self._probe = self._probe, None
        return probe

    def _keep(self, connection: UpstreamConnection) -> None:
        if not connection.channel.closed:
            self.release(connection, self._loop.time())


def _kept(limit: int) -> float:
    """Seconds for which a connection is kept that the app closes after ``limit``."""
    return min(MAX_IDLE_TIME, max(limit - MARGIN, limit / 2))
