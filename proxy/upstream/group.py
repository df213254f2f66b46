"""The upstreams of one site: each request goes to the next one that is well.

    Group ─┬─ Pool (one for each target, shared by all sites that name it)
           └─ …

An upstream that cannot be connected to has seen nothing of the request, so another may have it:
at once when it refuses, and beside it when it is slow (`Race`). One that failed is paused
(`kssl.proxy.upstream.health`), unless the others have failed as well.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Collection, Sequence

from kssl.proxy.upstream.connecting import Connector
from kssl.proxy.upstream.pool import Pool
from kssl.proxy.upstream.race import Race


class Group:
    """Pools in the order of the configuration. ``only`` is the pool of a group of one, which then
    needs none of the methods."""

    __slots__ = ("_turn", "only", "pools")

    def __init__(self, pools: Sequence[Pool]) -> None:
        self.pools = tuple(pools)
        self.only = self.pools[0] if len(self.pools) == 1 else None
        self._turn = -1

    def next(self, by: object, now: float) -> Pool:
        """The pool for a new request ``by``: in turn, paused ones passed over unless all are. If
        it has failed before, this request is the one that tries it."""
        for _ in self.pools:
            pool = self._step()
            health = pool.health
            if not health.failures:
                return pool
            if not health.paused(now):
                health.try_out(by, now)
                return pool
        return self._step()

    def _step(self) -> Pool:
        self._turn = (self._turn + 1) % len(self.pools)
        return self.pools[self._turn]

    def instead(self, tried: Collection[Pool], now: float) -> Pool | None:
        """Another one for a request that has tried these; None when there is none left. One that is
        paused comes last, but comes: it may be back, and the request has nothing to lose."""
        left = [pool for pool in self.pools if pool not in tried]
        return min(left, key=lambda pool: pool.health.order(now), default=None)

    def connect(self, loop: AbstractEventLoop, first: Pool, connector: Connector[Pool]) -> Race:
        """Opens a connection for ``connector``, to ``first`` or another."""
        return Race(loop, self.instead, first, connector)
