"""Medians over rounds, and ratios between subjects."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Of resamples; and the seed, so that the same rounds always give the same interval.
_RESAMPLES = 5000
_SEED = 20080227

_CONFIDENCE = 0.95

# With fewer rounds the true median lies outside of all of them too often (in 12.5 % of all cases
# with four), so no interval over them can have 95 %.
ENOUGH_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and the least and the greatest around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Ratio:
    """A median ratio and the 95 % bootstrap interval of it."""

    median: float
    low: float
    high: float
    rounds: int

    @property
    def is_shown(self) -> bool:
        """Whether there is a difference that chance does not explain."""
        return self.rounds >= ENOUGH_ROUNDS and not self.low <= 1 <= self.high


def paired_ratio(above: Mapping[int, float], below: Mapping[int, float]) -> Ratio | None:
    """Of values by round; None unless they have a round in common.

    Round by round: both halves of a round ran one after the other, in the same minute of the
    machine.
    """
    both = sorted(above.keys() & below.keys())
    if not both:
        return None
    ratios = [above[number] / below[number] for number in both]
    low, high = bootstrap(ratios)
    return Ratio(statistics.median(ratios), low, high, len(both))


def bootstrap(values: Sequence[float]) -> tuple[float, float]:
    """The 95 % percentile interval of the median, by drawing from the values again and again."""
    draw = random.Random(_SEED)
    medians = sorted(
        statistics.median(draw.choices(values, k=len(values))) for _ in range(_RESAMPLES)
    )
    outside = round((1 - _CONFIDENCE) / 2 * _RESAMPLES)
    return medians[outside], medians[-1 - outside]
