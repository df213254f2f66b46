"""Time limits without a timer each: one sweep over all connections, twice a second.

A connection sets its deadline by assigning a number, which costs nothing on the hot path; the
sweep finds what has expired. Limits are therefore kept to half a second, late, never early.
"""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from typing import Protocol

from kssl.fastpath.logs.messages import limited

log = logging.getLogger("kssl")

INTERVAL = 0.5  # seconds
NEVER = float("inf")


class Expiring(Protocol):
    deadline: float  # on `Deadlines.now`'s clock, or NEVER

    def expired(self) -> None:
        """The deadline has passed. Sets a new one, or ends."""


class Deadlines:
    """Holds whatever has a deadline, and the clock that they are measured with."""

    def __init__(self, loop: AbstractEventLoop, on_sweep: Callable[[float], None]) -> None:
        self._loop = loop
        self._on_sweep = on_sweep
        self._members: set[Expiring] = set()
        self.now = loop.time()  # as of the last sweep: cheaper to read than the real clock
        self._timer: TimerHandle = loop.call_later(INTERVAL, self._sweep)

    def after(self, seconds: float) -> float:
        """The deadline for something that must happen within ``seconds`` from now."""
        return self.now + INTERVAL + seconds

    def add(self, member: Expiring) -> None:
        self._members.add(member)

    def discard(self, member: Expiring) -> None:
        self._members.discard(member)

    def stop(self) -> None:
        self._timer.cancel()

    def _sweep(self) -> None:
        self.now = now = self._loop.time()
        self._timer = self._loop.call_later(INTERVAL, self._sweep)
        self._on_sweep(now)  # first: what expires may wait for something else, counted from now
        for member in [member for member in self._members if member.deadline <= now]:
            member.deadline = NEVER
            try:
                member.expired()
            except Exception:
                log.exception("a time limit could not be applied", extra=limited("Internal"))
