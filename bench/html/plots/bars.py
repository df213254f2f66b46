"""Horizontal bars, one row for each subject: name, bar, figure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.html import svg
from bench.html.figures import number, short
from bench.html.markup import NOTHING, Markup, join
from bench.html.model import Spread
from bench.html.scale import Scale, linear

_NAME = 106.0  # width of the names' column
_FIGURE = 48.0  # width of the figures' column
_ROW, _BAR = 20.0, 11.0

# A row far beyond the others would leave these without length. Beyond so many times the third
# quartile it is cut, with a gap in its bar, and its figure still tells all.
_FAR = 4.0


@dataclass(frozen=True, slots=True)
class Row:
    """``parts`` are widths with their classes, from left to right; they end at the median."""

    name: str
    name_css: str
    parts: Sequence[tuple[float, str]]
    spread: Spread
    tip: str


def longest(values: Sequence[float]) -> float:
    """What the axis must reach: the largest of ``values`` that is not far beyond the others."""
    if len(values) < 3:
        return max(values, default=0.0)
    usual = statistics.quantiles(values, n=4, method="inclusive")[2] * _FAR
    return max((value for value in values if value <= usual), default=max(values))


def bars(
    rows: Sequence[Row], said: str, *, write: Callable[[float], str] = number,
    tick: Callable[[float], str] = short,
) -> Markup:  # fmt: skip
    """The whole drawing. ``write`` is for the figures, ``tick`` for the axis."""
    medians = [row.spread.median for row in rows]
    reach = longest(medians)
    top = max((row.spread.high for row in rows if row.spread.median <= reach), default=reach)
    top = min(top, reach * 1.5)  # one slow round shall not shorten all bars
    scale = linear(top, _NAME + 6, svg.WIDTH - _FIGURE)
    bottom = len(rows) * _ROW + 4
    drawn = [_row(row, scale, index * _ROW + _ROW / 2 + 2, write) for index, row in enumerate(rows)]
    zero = svg.line(scale.start, 0, scale.start, bottom, "axis")
    axis = svg.x_axis(scale, 0, bottom, tick, right=svg.WIDTH)
    return svg.drawing(svg.WIDTH, bottom + 20, said, axis, *drawn, zero)


def _row(row: Row, scale: Scale, y: float, write: Callable[[float], str]) -> Markup:
    return svg.group(
        svg.text(0, y + 4, svg.fit(row.name, _NAME), row.name_css, full=row.name),
        bar(row, scale, y),
        svg.text(svg.WIDTH, y + 4, write(row.spread.median), "figure", anchor="end"),
        tip=row.tip,
    )


def bar(row: Row, scale: Scale, y: float) -> Markup:
    """The parts of one bar around ``y``, the spread over its end, and a gap where it is cut."""
    drawn, left = list[Markup](), 0.0
    for value, css in row.parts:
        x1, x2 = scale(left), scale(left + value)
        if x2 > x1:
            drawn.append(svg.rect(x1, y - _BAR / 2, x2 - x1, _BAR, f"fill {css}"))
        left += value
    return join(*drawn, _end(row.spread, scale, y))


def _end(spread: Spread, scale: Scale, y: float) -> Markup:
    if spread.median > scale.high:
        x = scale.end - 9
        return svg.path(f"M{x:.1f} {y + 8:.1f}l4 -16h4l-4 16z", "gap")
    x1, x2 = scale(spread.low), scale(spread.high)
    return svg.whisker(x1, x2, y, "whisker") if x2 - x1 >= 1 else NOTHING
