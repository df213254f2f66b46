"""Percentiles of latencies."""

from __future__ import annotations

import math
from collections.abc import Iterable

from kssl.bench.load.job import PERCENTILES


def percentiles(values: Iterable[float]) -> tuple[tuple[float, float], ...] | None:
    """The smallest value that at least so many percent do not exceed; None of no values."""
    ordered = sorted(values)
    if not ordered:
        return None
    return tuple(
        (percentile, ordered[max(0, math.ceil(len(ordered) * percentile / 100) - 1)])
        for percentile in PERCENTILES
    )
