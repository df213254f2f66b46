"""Latency: from p50 to p99.9 for each subject, one panel per scenario, on a log scale."""

from __future__ import annotations

from bench.html import svg
from bench.html.figures import micros, percentile, tick_micros
from bench.html.look import css_of, name_css
from bench.html.markup import Markup
from bench.html.model import Report, Result, Scenario, Subject
from bench.html.plots.panel import Panel
from bench.html.scale import Scale, logarithmic

_NAME, _FIGURE = 106.0, 56.0
_ROW = 20.0

# What is drawn, and with which mark; other percentiles are in the table.
_MARKS = {50.0: "circle", 90.0: "tick", 99.0: "diamond", 99.9: "square"}


def panels(report: Report) -> list[Panel]:
    """One for each scenario with any latency."""
    return [panel for one in report.scenarios if (panel := _panel(report, one)) is not None]


def keys() -> list[tuple[Markup, str]]:
    """For the legend."""
    return [
        (svg.mark(shape, 7, 7, "mark c-plain", _radius(which)), percentile(which))
        for which, shape in _MARKS.items()
    ]


def _panel(report: Report, scenario: Scenario) -> Panel | None:
    rows = [
        (subject, result)
        for subject, result in report.of(scenario)
        if any(which in _MARKS for which in result.percentiles)
    ]
    if not rows:
        return None
    values = [value for _, one in rows for which, value in one.percentiles.items()
              if which in _MARKS]  # fmt: skip
    scale = logarithmic(values, _NAME + 12, svg.WIDTH - _FIGURE - 6, air=1.02)
    bottom = len(rows) * _ROW + 4
    drawn = [
        _row(subject, result, scale, index * _ROW + _ROW / 2 + 2)
        for index, (subject, result) in enumerate(rows)
    ]
    said = f"Latency percentiles by proxy, {scenario.label}"
    axis = svg.x_axis(scale, 0, bottom, tick_micros, most=4)
    drawing = svg.drawing(svg.WIDTH, bottom + 20, said, axis, *drawn)
    return Panel(scenario.label, f"time per {scenario.unit}, log scale; figure: p99", drawing)


def _row(subject: Subject, result: Result, scale: Scale, y: float) -> Markup:
    shown = {which: value for which, value in result.percentiles.items() if which in _MARKS}
    places = [scale(value) for value in shown.values()]
    marks = [
        svg.mark(_MARKS[which], scale(value), y, f"mark {css_of(subject)}", _radius(which))
        for which, value in reversed(shown.items())
    ]
    tip = ", ".join(f"{percentile(which)} {micros(value)}" for which, value in shown.items())
    return svg.group(
        svg.text(0, y + 4, svg.fit(subject.name, _NAME), name_css(subject), full=subject.name),
        svg.line(min(places), y, max(places), y, f"span {css_of(subject)}"),
        *marks,
        svg.text(svg.WIDTH, y + 4, micros(shown.get(99.0)), "figure", anchor="end"),
        tip=f"{subject.name}: {tip}",
    )


def _radius(which: float) -> float:
    return 2.7 if which > 99 else 3.8
