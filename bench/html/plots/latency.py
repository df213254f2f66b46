"""Latency: from p50 to p99.9 for each subject, one panel per scenario, on a log scale."""

from __future__ import annotations

from kssl.bench.html import svg
from kssl.bench.html.figures import micros, percentile, tick_micros
from kssl.bench.html.look import css_of, row_name
from kssl.bench.html.markup import Markup, join
from kssl.bench.html.model import Report, Result, Scenario, Subject
from kssl.bench.html.plots.panel import Panel
from kssl.bench.html.scale import Scale, logarithmic

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
        (svg.mark(shape, 7, 7, "mark c-plain", _radius(which) * 1.3), percentile(which))
        for which, shape in _MARKS.items()
    ]


def _panel(report: Report, scenario: Scenario) -> Panel | None:
    shown = {subject.name: _shown(result) for subject, result in report.of(scenario)}
    values = [value for percentiles in shown.values() for value in percentiles.values()]
    if not values:
        return None
    scale = logarithmic(values, _NAME + 12, svg.WIDTH - _FIGURE - 6, air=1.02)
    # All subjects have a line, so that each is at the same place in every panel.
    bottom = len(report.subjects) * _ROW + 4
    drawn = [
        _row(subject, shown.get(subject.name, {}), scale, index * _ROW + _ROW / 2 + 2)
        for index, subject in enumerate(report.subjects)
    ]
    said = f"Latency percentiles by proxy, {scenario.label}"
    axis = svg.x_axis(scale, 0, bottom, tick_micros, most=4)
    drawing = svg.drawing(svg.WIDTH, bottom + 20, said, axis, *drawn)
    return Panel(scenario.label, f"time per {scenario.unit}, log scale; figure: p99", drawing)


def _shown(result: Result) -> dict[float, float]:
    return {which: value for which, value in result.percentiles.items() if which in _MARKS}


def _row(subject: Subject, shown: dict[float, float], scale: Scale, y: float) -> Markup:
    name = row_name(subject, y, _NAME)
    if not shown:
        return join(name, svg.text(scale.start + 6, y + 4, "not measured", "tick missing"))
    places = [scale(value) for value in shown.values()]
    marks = [
        svg.mark(_MARKS[which], scale(value), y, f"mark {css_of(subject)}", _radius(which))
        for which, value in reversed(shown.items())
    ]
    tip = ", ".join(f"{percentile(which)} {micros(value)}" for which, value in shown.items())
    return svg.group(
        name,
        svg.line(min(places), y, max(places), y, f"span {css_of(subject)}"),
        *marks,
        svg.text(svg.WIDTH, y + 4, micros(shown.get(99.0)), "figure", anchor="end"),
        tip=f"{subject.name}: {tip}",
    )


def _radius(which: float) -> float:
    return 2.7 if which > 99 else 3.8
