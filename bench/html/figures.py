"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Callable

NONE = "–"  # noqa: RUF001 - an en dash, where nothing was measured


_UNITS = {1e9: "G", 1e6: "M", 1e3: "k"}


def number(value: float | None) -> str:
    """Three significant digits or more, thousands apart."""
    if value is None:
        return NONE
    size = abs(value)
    if size >= 999.5:
        return f"{value:,.0f}"
    if size >= 99.95:
        return f"{value:.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value else "0"


def short(value: float) -> str:
    """For ticks: no digits that say nothing."""
    for limit, unit in ((1e9, 1e9), (1e6, 1e6), (1e4, 1e3)):
        if value >= limit:
            return f"{value / unit:g} {_UNITS[unit]}"
    return f"{value:,g}"


def micros(value: float | None) -> str:
    """A time given in µs, with the unit that suits it."""
    if value is None:
        return NONE
    if value >= 999_500:
        return f"{number(value / 1e6)} s"
    if value >= 999.5:
        return f"{number(value / 1e3)} ms"
    return f"{number(value)} µs"


def tick_micros(value: float) -> str:
    """As `micros`, for ticks."""
    for limit, unit in ((1e6, "s"), (1e3, "ms")):
        if value >= limit:
            return f"{value / limit:g} {unit}"
    return f"{value:g} µs"


def times(value: float | None) -> str:
    """A ratio: two digits behind the point where that is what counts."""
    if value is None:
        return NONE
    if value >= 99.95:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.0995 else f"{value:.3f}"


def interval(low: float | None, high: float | None, write: Callable[[float], str] = times) -> str:
    """``1.28-1.35``, with a real dash."""
    if low is None or high is None:
        return NONE
    return f"{write(low)}\N{EN DASH}{write(high)}"


def size(count: float | None) -> str:
    """Bytes with a binary unit."""
    if count is None:
        return NONE
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if count >= 2**power:
            return f"{number(count / 2**power)} {unit}"
    return f"{number(count)} B"


def percentile(value: float) -> str:
    """``p99.9``."""
    return f"p{value:g}"
