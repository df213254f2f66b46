"""Connections that do nothing: the memory they take, and what they do to those that work."""

from __future__ import annotations

from kssl.bench.html import svg
from kssl.bench.html.figures import micros, number, tick_micros
from kssl.bench.html.look import css_of, row_name
from kssl.bench.html.markup import Markup
from kssl.bench.html.model import Idle, Report, Scenario, Spread, Subject
from kssl.bench.html.plots.bars import bars, plain_row
from kssl.bench.html.plots.panel import Panel
from kssl.bench.html.scale import Scale, logarithmic

_NAME, _FIGURE = 106.0, 56.0
_ROW = 20.0

Measured = list[tuple[Subject, Idle]]


def panels(report: Report) -> list[Panel]:
    """Memory and latency for each scenario of this kind."""
    drawn = list[Panel | None]()
    for scenario in report.scenarios:
        measured = [(one, result.idle) for one, result in report.of(scenario) if result.idle]
        drawn += [_memory(scenario, measured), _latency(scenario, measured)]
    return [panel for panel in drawn if panel is not None]


def keys() -> list[tuple[Markup, str]]:
    """For the legend of the latency."""
    return [
        (svg.mark("circle", 7, 7, "hollow c-plain"), "p99 without idle connections"),
        (svg.mark("circle", 7, 7, "mark c-plain"), "p99 with them"),
    ]


def _memory(scenario: Scenario, measured: Measured) -> Panel | None:
    rows = [
        plain_row(
            subject,
            Spread(kib, kib, kib),
            f"{subject.name}: {number(kib)} KiB for each of {number(idle.connections)}",
        )
        for subject, idle in measured
        if (kib := idle.kib_per_connection) is not None
    ]
    if not rows:
        return None
    drawing = bars(
        [one for one, _ in measured],
        rows,
        f"KiB of memory per idle connection by proxy, {scenario.label}",
    )
    return Panel(f"Memory: {scenario.label}", "KiB per connection; shorter is better", drawing)


def _latency(scenario: Scenario, measured: Measured) -> Panel | None:
    rows = [
        (subject, idle.p99_before, idle.p99_with)
        for subject, idle in measured
        if idle.p99_before is not None and idle.p99_with is not None
    ]
    if not rows:
        return None
    values = [value for _, before, beside in rows for value in (before, beside)]
    scale = logarithmic(values, _NAME + 12, svg.WIDTH - _FIGURE - 6)
    bottom = len(rows) * _ROW + 4
    drawn = [
        _row(subject, before, beside, scale, index * _ROW + _ROW / 2 + 2)
        for index, (subject, before, beside) in enumerate(rows)
    ]
    said = f"p99 of requests without and with idle connections, {scenario.label}"
    axis = svg.x_axis(scale, 0, bottom, tick_micros, most=4)
    drawing = svg.drawing(svg.WIDTH, bottom + 20, said, axis, *drawn)
    note = "p99 of working connections, log scale"
    return Panel(f"Latency: {scenario.label}", note, drawing)


def _row(subject: Subject, before: float, beside: float, scale: Scale, y: float) -> Markup:
    css = css_of(subject)
    return svg.group(
        row_name(subject, y, _NAME),
        svg.line(scale(before), y, scale(beside), y, f"span {css}"),
        svg.mark("circle", scale(beside), y, f"mark {css}", 4),
        svg.mark("circle", scale(before), y, f"hollow {css}", 4),
        svg.text(svg.WIDTH, y + 4, micros(beside), "figure", anchor="end"),
        tip=f"{subject.name}: {micros(before)} without, {micros(beside)} with",
    )
