"""Which core runs what: proxies on one, load and backend on another.

A process inherits its parent's affinity with all its threads to be, whereas setting that of a
process that runs reaches one thread only. So the parent changes its own while it starts one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """Cores for the two sides; None: not pinned, because there is one core only."""

    proxy: int | None
    load: int | None


def choose_cores() -> Cores:
    """The first two cores that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[1]) if len(usable) > 1 else Cores(None, None)


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """What is started within runs on ``core`` only."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
