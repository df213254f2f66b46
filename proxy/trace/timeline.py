"""Visits, and whose each moment is.

A visit is one time that a process takes up a step: from what woke it to the end of what it did
then. Several processes may work at once (a frame is read while the `send` that carried it still
returns; large bodies are in many places). So that the parts add up to the whole, each moment is
given to one visit: to the one that began last of those at work, and when nobody works, as waiting,
to the one that ended last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kssl.proxy.trace.phases import Placed

# What wakes a process; anything else goes on with what was begun.
_WAKES = ("recv", "drain", "connected")


@dataclass(slots=True)
class Visit:
    """One time that a step was at work; in ns."""

    step: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the whole time, given to one step."""

    step: int
    begin: int
    end: int
    working: bool


def visits(events: Iterable[tuple[int, Placed]]) -> list[Visit]:
    """Events in the order of their beginning, with their steps' numbers → visits, likewise."""
    found: list[Visit] = []
    current: dict[tuple[str, int], Visit] = {}
    for step, placed in events:
        process = (placed.actor, placed.pid)
        visit, event = current.get(process), placed.event
        if visit is None or visit.step != step or _wakes(placed):
            visit = current[process] = Visit(step, event.begin, event.end)
            found.append(visit)
        else:
            visit.end = max(visit.end, event.end)
    return found


def _wakes(placed: Placed) -> bool:
    if placed.actor in ("client", "app"):
        return True
    if placed.actor == "worker":
        return placed.event.what == "frame-in"
    return placed.event.what in _WAKES


def partition(found: Sequence[Visit], begin: int, end: int) -> list[Stretch]:
    """The time from ``begin`` to ``end``, given to the visits without gap or overlap.

    What lies before the first visit is given to nobody.
    """
    edges = sorted({begin, end, *(time for visit in found for time in (visit.begin, visit.end))})
    edges = [edge for edge in edges if begin <= edge <= end]
    waiting = sorted(found, key=lambda visit: visit.begin, reverse=True)
    active: list[Visit] = []
    last: Visit | None = None  # of those that have ended
    stretches: list[Stretch] = []
    for start, stop in pairwise(edges):
        while waiting and waiting[-1].begin <= start:
            active.append(waiting.pop())
        ended = [visit for visit in active if visit.end <= start]
        if ended:
            active = [visit for visit in active if visit.end > start]
            newest = max(ended, key=lambda visit: visit.end)
            if last is None or newest.end >= last.end:
                last = newest
        owner = max(active, key=lambda visit: visit.begin) if active else last
        if owner is not None:
            _add(stretches, Stretch(owner.step, start, stop, bool(active)))
    return stretches


def _add(stretches: list[Stretch], new: Stretch) -> None:
    """Joins what goes on with what was."""
    if stretches:
        old = stretches[-1]
        if (old.step, old.working, old.end) == (new.step, new.working, new.begin):
            stretches[-1] = Stretch(new.step, old.begin, new.end, new.working)
            return
    stretches.append(new)
