"""From values to places on an axis, and round ticks for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Within a decade, from fine to coarse. The first that gives few enough ticks is used.
_SERIES: tuple[tuple[float, ...], ...] = (
    (1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8, 2, 2.5, 3, 4, 5, 6, 7, 8, 9),
    (1, 1.25, 1.5, 2, 3, 4, 5, 6, 8),
    (1, 1.5, 2, 3, 5, 7),
    (1, 2, 5),
    (1, 3),
    (1,),
)


@dataclass(frozen=True, slots=True)
class Scale:
    """A line from ``start`` to ``end`` (units of the drawing) that shows ``low`` to ``high``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of ``value``; what lies outside is put at the nearer end."""
        value = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)


def linear(high: float, start: float, end: float) -> Scale:
    """From zero to ``high``, or to 1 where there is nothing above zero."""
    return Scale(0.0, high if high > 0 else 1.0, start, end)


def logarithmic(values: Sequence[float], start: float, end: float, air: float = 1.08) -> Scale:
    """Over all ``values`` above zero, at least one octave, with some air at both ends."""
    positive = [value for value in values if value > 0] or [1.0]
    low, high = min(positive) / air, max(positive) * air
    if high / low < 2:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(2), middle * math.sqrt(2)
    return Scale(low, high, start, end, log=True)


def ticks(scale: Scale, most: int = 5) -> list[float]:
    """Round values within the scale, ``most`` of them at most."""
    return _log_ticks(scale.low, scale.high, most) if scale.log else _round(scale.high, most)


def _round(high: float, most: int) -> list[float]:
    power = 10.0 ** math.floor(math.log10(high / most))
    for step in (power, 2 * power, 5 * power, 10 * power, 20 * power):
        # A little more, so that 0.3 is three times 0.1.
        steps = math.floor(high / step * (1 + 1e-9))
        if steps < most:
            break
    # Multiplied, not added up: no 0.30000000000000004.
    return [float(f"{index * step:.6g}") for index in range(steps + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    for series in _SERIES:
        found = _within(low, high, series)
        if len(found) <= most:
            return found
    decades = _within(low, high, (1,))
    return decades[:: math.ceil(len(decades) / most)]


def _within(low: float, high: float, series: Sequence[float]) -> list[float]:
    found = []
    for power in range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 1):
        found += [float(f"{times * 10.0**power:.6g}") for times in series]
    return [value for value in found if low <= value <= high]


def spaced(values: Sequence[float], place: Callable[[float], tuple[float, float]],
           first: float | None = None, gap: float = 6.0) -> list[float]:  # fmt: skip
    """Those of ``values`` whose labels keep apart. ``place`` gives a label's two ends.

    ``first``, where it is one of them, is kept before all others.
    """
    order = sorted(values, key=lambda value: value != first)
    kept: list[float] = []
    for value in order:
        left, right = place(value)
        if all(right + gap <= place(other)[0] or place(other)[1] + gap <= left for other in kept):
            kept.append(value)
    return sorted(kept)


def apart(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near ``wanted``, in its order, at least ``gap`` apart, between ``low`` and ``high``.

    Where they do not all fit, they stand closer than ``gap``, evenly.
    """
    count = len(wanted)
    if count > 1:
        gap = min(gap, (high - low) / (count - 1))
    order = sorted(range(count), key=lambda index: wanted[index])
    places = [0.0] * count
    least = low
    for index in order:
        places[index] = least = max(wanted[index], least)
        least += gap
    most = high
    for index in reversed(order):
        places[index] = most = min(places[index], most)
        most -= gap
    return places
