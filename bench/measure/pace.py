"""The fixed rate of the scenario "latency": half of what nginx can do on this machine."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from kssl.bench.measure.rounds import Round
from kssl.bench.subjects import Subject

_BASIS = "tiny"
_STANDARD = "nginx"

# Below this part of the rate that was asked for, a load has waited for the proxy, and what it
# tells of latencies leaves that out.
_HELD = 0.98


def choose_rate(
    subjects: Sequence[Subject], rounds: Sequence[Round], try_out: Callable[[Subject], Round]
) -> tuple[int, str]:
    """Requests per second, and in words what it is half of.

    From rounds that were measured, or from one that is tried out now. The standard is nginx, or
    the first of the subjects where there is none.
    """
    by_name = {subject.name: subject for subject in subjects}
    standard = by_name.get(_STANDARD, subjects[0])
    rates = [
        one.rate for one in rounds if (one.scenario, one.subject) == (_BASIS, standard.name)
    ] or [try_out(standard).rate]
    peak = statistics.median(rates)
    rate = int(peak / 2)
    return max(1, rate), f"{standard.name}'s peak"


def held(rate: int, found: Sequence[Round]) -> bool:
    """Whether the rate was kept in all rounds."""
    return all(one.rate >= _HELD * rate for one in found)
