"""Throughput, CPU time and latency of small requests over the number of connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kssl.bench.html import svg
from kssl.bench.html.figures import short, tick_micros
from kssl.bench.html.look import css_of, shape_of
from kssl.bench.html.markup import NOTHING, Markup
from kssl.bench.html.model import Report, Result, Scenario, Spread, Subject
from kssl.bench.html.plots.panel import Panel
from kssl.bench.html.scale import Scale, apart, linear, logarithmic, spaced

_LEFT, _RIGHT = 40.0, 122.0  # least width of the axis' labels; the names after the lines
_TOP, _HEIGHT, _LINE = 8.0, 270.0, 12.5

# The scenario that asks for the same over the usual number of connections.
_USUAL = "tiny"

Take = Callable[[Result], Spread | None]


@dataclass(frozen=True, slots=True)
class _Line:
    subject: Subject
    points: Sequence[tuple[float, Spread]]


def panels(report: Report) -> list[Panel]:
    """Of three figures, those that were measured with two numbers of connections or more."""
    drawn = [
        _panel(report, "Throughput", "requests per second; higher is better", _per_s, log=False),
        _panel(report, "CPU time", "µs per request, log scale; lower is better", _cpu, log=True),
        _panel(report, "Latency, p99", "log scale; lower is better", _p99, log=True),
    ]
    return [panel for panel in drawn if panel is not None]


def _per_s(result: Result) -> Spread | None:
    return result.per_s


def _cpu(result: Result) -> Spread | None:
    return result.cpu


def _p99(result: Result) -> Spread | None:
    return result.p99


def _panel(report: Report, heading: str, note: str, take: Take, *, log: bool) -> Panel | None:
    scenarios = _scenarios(report)
    lines = [
        _Line(subject, points)
        for subject in report.subjects
        if (points := _points(report, scenarios, subject, take))
    ]
    counts = sorted({count for line in lines for count, _ in line.points})
    if len(counts) < 2:
        return None
    micros = take is not _per_s
    return Panel(heading, note, _drawing(heading, lines, counts, log=log, micros=micros))


def _scenarios(report: Report) -> list[Scenario]:
    return [
        one
        for one in report.scenarios
        if (one.kind == "connections" or one.name == _USUAL) and one.connections
    ]


def _points(
    report: Report, scenarios: Sequence[Scenario], subject: Subject, take: Take
) -> list[tuple[float, Spread]]:
    found = []
    for scenario in scenarios:
        result = report.results.get((scenario.name, subject.name))
        spread = take(result) if result is not None else None
        if spread is not None and scenario.connections is not None:
            found.append((scenario.connections, spread))
    return sorted(found, key=lambda point: point[0])


def _drawing(
    heading: str, lines: Sequence[_Line], counts: Sequence[float], *, log: bool, micros: bool
) -> Markup:
    bottom = _TOP + max(_HEIGHT, len(lines) * _LINE)
    values = [value for line in lines for _, spread in line.points
              for value in (spread.low, spread.median, spread.high)]  # fmt: skip
    y = logarithmic(values, bottom, _TOP) if log else linear(max(values), bottom, _TOP)
    write = tick_micros if micros else short
    marks = svg.y_ticks(y)
    left = max(_LEFT, *(svg.text_width(write(value)) + 6 for value in marks))
    x = logarithmic(counts, left + 4, svg.WIDTH - _RIGHT, air=1.15)
    ends = apart([y(line.points[-1][1].median) for line in lines], _LINE, _TOP + 4, bottom - 2)
    return svg.drawing(
        svg.WIDTH,
        bottom + 34,
        f"{heading} over the number of connections, {len(lines)} proxies",
        svg.y_axis(y, marks, left, x.end, write),
        svg.line(left, bottom, x.end, bottom, "axis"),
        *_counts(counts, x, bottom),
        svg.text((left + x.end) / 2, bottom + 30, "connections", "tick", anchor="middle"),
        # Ours last, so that they lie above the others.
        *(
            _line(line, x, y, end)
            for line, end in sorted(
                zip(lines, ends, strict=True), key=lambda pair: pair[0].subject.ours
            )
        ),
    )


def _counts(counts: Sequence[float], x: Scale, bottom: float) -> list[Markup]:
    def ends(count: float) -> tuple[float, float]:
        half = svg.text_width(f"{count:g}") / 2
        return x(count) - half, x(count) + half

    return [
        svg.text(x(count), bottom + 15, f"{count:g}", "tick", anchor="middle")
        for count in spaced(counts, ends, gap=3)
    ]


def _line(line: _Line, x: Scale, y: Scale, end: float) -> Markup:
    css, name = css_of(line.subject), line.subject.name
    places = [(x(count), y(spread.median)) for count, spread in line.points]
    last_x, last_y = places[-1]
    shown = svg.fit(name, _RIGHT - 15, svg.BOLD)
    return svg.group(
        svg.polyline(places, f"line {css}") if len(places) > 1 else NOTHING,
        *(
            svg.path(f"M{x(count):.1f} {y(spread.low):.1f}V{y(spread.high):.1f}", f"interval {css}")
            for count, spread in line.points
            if spread.high > spread.low
        ),
        *(
            svg.mark(shape_of(line.subject), px, py, f"mark {css}", radius=3)
            for px, py in places
        ),
        svg.polyline(
            [(last_x + 5, last_y), (x.end + 6, end), (x.end + 12, end)], f"leader {css}"
        ),
        svg.text(x.end + 15, end + 4, shown, f"name {css}", full=name),
        tip=name,
    )  # fmt: skip
