"""Which core runs what: proxies on one, the load on another, the backend on a third.

A process inherits its parent's affinity with all its threads to be, whereas setting that of a
process that runs reaches one thread only. So the parent changes its own while it starts one.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cores:
    """A core for each side; None: not pinned, because there is one core only."""

    proxy: int | None
    load: int | None
    backend: int | None


def choose_cores(allowed: Iterable[int] | None = None) -> Cores:
    """Out of the cores that this process may use, as `taskset` for one may have limited them.

    With two cores the load and the backend share one. What else runs has the rest.
    """
    usable = sorted(os.sched_getaffinity(0) if allowed is None else allowed)
    if len(usable) < 2:
        return Cores(None, None, None)
    return Cores(usable[0], usable[1], usable[-1])


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
