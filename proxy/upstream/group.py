"""The upstreams of one site: each request goes to the next one that answers.

    Group ─┬─ Pool (one for each target, shared by all sites that name it)
           └─ …

An upstream that refuses a connection has seen nothing of the request, so another may have it. It
is then left out for `SKIP`, unless the others refuse as well.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from proxy.upstream.pool import Pool

log = logging.getLogger("kssl")

# Seconds for which an upstream that refused gets no requests: long enough that a dead one costs
# next to nothing, short enough that one which is restarted is not missed.
SKIP = 5.0


class Group:
    """Pools in the order of the configuration. ``only`` is the pool of a group of one, which then
    needs none of the methods."""

    __slots__ = ("_turn", "only", "pools")

    def __init__(self, pools: Sequence[Pool]) -> None:
        self.pools = tuple(pools)
        self.only = self.pools[0] if len(self.pools) == 1 else None
        self._turn = -1

    def next(self, now: float) -> Pool:
        """The pool for a new request: in turn, those left out passed over unless all are."""
        for _ in self.pools:
            pool = self._step()
            if pool.refused_until <= now:
                return pool
        return self._step()

    def _step(self) -> Pool:
        self._turn = (self._turn + 1) % len(self.pools)
        return self.pools[self._turn]

    def instead(self, tried: Sequence[Pool], now: float) -> Pool | None:
        """Another one for a request that these refused; None when there is none left. One that is
        left out comes last, but comes: it may be back, and the request has nothing to lose."""
        left = [pool for pool in self.pools if pool not in tried]
        return min(left, key=lambda pool: pool.refused_until > now, default=None)

    def refused(self, pool: Pool, reason: str, now: float) -> None:
        """``pool`` could not be connected to; it is left out from ``now`` on."""
        if not pool.refused_until:
            log.error("upstream %s: %s; others take its requests", pool.target, reason)
        pool.refused_until = now + SKIP
