"""A limit on lines of one kind, so that strangers who cause them can neither fill a disk nor hide
other lines among them."""

from __future__ import annotations

import time
from collections.abc import Callable


class Allowance:
    """At most ``most`` lines of each kind in ``seconds``, which begin with the first of them.

    Kinds are words of ours, or names from the configuration, never a peer's: there are few. Not
    thread-safe.
    """

    def __init__(
        self, most: int, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most = most
        self.seconds = seconds
        self._clock = clock
        self._began: dict[str, float] = {}
        self._seen: dict[str, int] = {}
        self._untold: dict[str, int] = {}
        self.left_out: dict[str, int] = {}
        """Lines that were not allowed since the start, by kind."""

    def allows(self, kind: str) -> bool:
        """Return whether one more line of this kind may be written. One that may not is counted."""
        now = self._clock()
        if now - self._began.get(kind, now - self.seconds) >= self.seconds:
            self._began[kind] = now
            self._seen[kind] = 0
        self._seen[kind] += 1
        if self._seen[kind] <= self.most:
            return True
        self._untold[kind] = self._untold.get(kind, 0) + 1
        self.left_out[kind] = self.left_out.get(kind, 0) + 1
        return False

    def over(self) -> list[tuple[str, int]]:
        """Return the kinds whose interval has ended, with the number of lines left out; each once.

        To be called from time to time.
        """
        if not self._began:
            return []
        now = self._clock()
        ended = [kind for kind, began in self._began.items() if now - began >= self.seconds]
        for kind in ended:
            del self._began[kind], self._seen[kind]
        return [(kind, self._untold.pop(kind)) for kind in ended if kind in self._untold]

    def rest(self) -> list[tuple[str, int]]:
        """Return all that was left out and not told yet, each once: there is no later."""
        untold, self._untold = self._untold, {}
        return list(untold.items())
