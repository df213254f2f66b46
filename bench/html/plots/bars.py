"""Horizontal bars, one row for each subject: name, bar, figure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kssl.bench.html import svg
from kssl.bench.html.figures import number, short
from kssl.bench.html.look import css_of, row_name
from kssl.bench.html.markup import NOTHING, Markup, join
from kssl.bench.html.model import Spread, Subject
from kssl.bench.html.scale import Scale, linear

_NAME = 106.0  # width of the names' column
_FIGURE = 48.0  # least width of the figures' column
_ROW, _BAR = 20.0, 11.0

# A row far beyond the others would leave these without length. Beyond so many times the third
# quartile it is cut, with a gap in its bar, and its figure still tells all.
_FAR = 4.0

_REFERENCE = "nginx"


@dataclass(frozen=True, slots=True)
class Row:
    """``parts`` are widths with their classes, from left to right; they end at the median."""

    subject: Subject
    parts: Sequence[tuple[float, str]]
    spread: Spread
    tip: str


def plain_row(subject: Subject, spread: Spread, tip: str) -> Row:
    """A bar in the subject's own colour."""
    return Row(subject, [(spread.median, css_of(subject))], spread, tip)


def longest(values: Sequence[float]) -> float:
    """What the axis must reach: the largest of ``values`` that is not far beyond the others."""
    if len(values) < 3:
        return max(values, default=0.0)
    usual = statistics.quantiles(values, n=4, method="inclusive")[2] * _FAR
    return max((value for value in values if value <= usual), default=max(values))


def bars(
    subjects: Sequence[Subject], rows: Sequence[Row], said: str, *,
    write: Callable[[float], str] = number, tick: Callable[[float], str] = short,
) -> Markup:  # fmt: skip
    """The whole drawing. ``write`` is for the figures, ``tick`` for the axis.

    All ``subjects`` have a line, so that each is at the same place in every panel.
    """
    by_name = {row.subject.name: row for row in rows}
    figures = max((svg.text_width(write(row.spread.median)) for row in rows), default=0.0)
    scale = _scale(rows, svg.WIDTH - max(_FIGURE, figures + 8))
    bottom = len(subjects) * _ROW + 4
    drawn = [
        _line(one, by_name.get(one.name), scale, index * _ROW + _ROW / 2 + 2, write)
        for index, one in enumerate(subjects)
    ]
    reference = NOTHING
    if (row := by_name.get(_REFERENCE)) is not None and row.spread.median <= scale.high:
        x = scale(row.spread.median)
        reference = svg.line(x, 0, x, bottom, f"reference {css_of(row.subject)}")
    zero = svg.line(scale.start, 0, scale.start, bottom, "axis")
    axis = svg.x_axis(scale, 0, bottom, tick)
    return svg.drawing(svg.WIDTH, bottom + 20, said, axis, reference, *drawn, zero)


def _scale(rows: Sequence[Row], end: float) -> Scale:
    reach = longest([row.spread.median for row in rows])
    top = max((row.spread.high for row in rows if row.spread.median <= reach), default=reach)
    # One slow round shall not shorten all bars.
    return linear(min(top, reach * 1.5), _NAME + 6, end)


def _line(
    subject: Subject, row: Row | None, scale: Scale, y: float, write: Callable[[float], str]
) -> Markup:
    label = row_name(subject, y, _NAME)
    if row is None:
        return join(label, svg.text(scale.start + 6, y + 4, "not measured", "tick missing"))
    figure = svg.text(svg.WIDTH, y + 4, write(row.spread.median), "figure", anchor="end")
    return svg.group(label, bar(row, scale, y), figure, tip=row.tip)


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
