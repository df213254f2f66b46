"""Time limits are counted from the sweep in which they are set, however late it comes."""

from __future__ import annotations

import asyncio

from kssl.proxy.frontend import deadlines as module
from kssl.proxy.frontend.deadlines import NEVER, Deadlines


class _Clock:
    """A loop whose clock the test sets."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sweeps = 0

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, sweep: object) -> None:
        assert delay == module.INTERVAL
        self.sweeps += 1


class _Renewing:
    """Waits on, for as long as the shared limit says (`Front.body_deadline` and the like)."""

    def __init__(self) -> None:
        self.deadline = 100.0
        self.shared = NEVER

    def expired(self) -> None:
        self.deadline = self.shared


def test_what_expires_in_a_late_sweep_gets_its_whole_time_again() -> None:
    clock, member = _Clock(), _Renewing()
    loop: asyncio.AbstractEventLoop = clock  # type: ignore[assignment]

    def set_shared(now: float) -> None:
        assert now == deadlines.now
        member.shared = deadlines.after(2.0)

    deadlines = Deadlines(loop, set_shared)
    set_shared(100.0)
    deadlines.add(member)
    clock.now = 130.0  # the process stood still
    deadlines._sweep()
    assert member.deadline >= 132.0
    assert clock.sweeps == 2
