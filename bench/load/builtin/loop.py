"""Runs generators that wait for sockets and times: what asyncio does, without what it costs.

A generator yields what it waits for: `(descriptor, EPOLLIN or EPOLLOUT)`, or a time of
`time.perf_counter`. Those that it calls by ``yield from`` may yield too, so that the life of a
connection reads from top to bottom.
"""

from __future__ import annotations

import heapq
import itertools
import select
import time
from collections.abc import Generator

Wait = tuple[int, int] | float
Steps = Generator[Wait, None, None]

# epoll waits in whole milliseconds; the rest is waited for by select, which has microseconds.
_COARSE_SECONDS = 0.001
_FOREVER = 3600.0


class Loop:
    """Runs until `stop`, or until a generator raises anything, which `run` raises then."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._masks: dict[int, int] = {}
        self._waiting: dict[int, Steps] = {}
        self._times: list[tuple[float, int, Steps]] = []
        self._order = itertools.count()  # so that the heap never compares generators
        self._stopped = False

    def start(self, steps: Steps) -> None:
        """Begins with the first step at the next turn."""
        heapq.heappush(self._times, (0.0, next(self._order), steps))

    def stop(self) -> None:
        self._stopped = True

    def forget(self, descriptor: int) -> None:
        """Must be called before a descriptor is closed: its number may come again."""
        if self._masks.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)
        self._waiting.pop(descriptor, None)

    def run(self) -> None:
        while not self._stopped:
            for descriptor, _ in self._events():
                steps = self._waiting.pop(descriptor, None)
                if steps is not None:
                    self._continue(steps)
                else:
                    # Nobody waits for it now, and level-triggered it would come again and again.
                    self._epoll.unregister(descriptor)
                    del self._masks[descriptor]
            now = time.perf_counter()
            while self._times and self._times[0][0] <= now:
                self._continue(heapq.heappop(self._times)[2])

    def close(self) -> None:
        self._epoll.close()

    def _events(self) -> list[tuple[int, int]]:
        left = self._times[0][0] - time.perf_counter() if self._times else _FOREVER
        if left > _COARSE_SECONDS:
            return self._epoll.poll(left - _COARSE_SECONDS)
        if left > 0:
            select.select([self._epoll], [], [], left)
        return self._epoll.poll(0)

    def _continue(self, steps: Steps) -> None:
        wait = next(steps, None)
        if wait is None:
            return
        if isinstance(wait, float):
            heapq.heappush(self._times, (wait, next(self._order), steps))
            return
        descriptor, mask = wait
        known = self._masks.get(descriptor)
        if known is None:
            self._epoll.register(descriptor, mask)
        elif known != mask:
            self._epoll.modify(descriptor, mask)
        self._masks[descriptor] = mask
        self._waiting[descriptor] = steps
