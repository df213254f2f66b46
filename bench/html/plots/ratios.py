"""CPU time of kssl as a multiple of another's: a dot with its 95 % interval for each ratio."""

from __future__ import annotations

from collections.abc import Sequence

from kssl.bench.html import svg
from kssl.bench.html.figures import interval, times
from kssl.bench.html.look import css_of, shape_of
from kssl.bench.html.markup import NOTHING, Markup, join
from kssl.bench.html.model import Ratio, Report
from kssl.bench.html.plots.panel import Panel
from kssl.bench.html.scale import Scale, logarithmic

_NAME, _FIGURE = 116.0, 38.0
_LINE = 14.0  # between two dots, and between two lines of a scenario's name
_AIR = 9.0  # between two scenarios


def panels(report: Report) -> list[Panel]:
    """One for each subject that kssl is compared with: nginx, kssl's kernel mode, the others."""
    return [_panel(report, below) for below in compared_with(report)]


def compared_with(report: Report) -> list[str]:
    """Names, the most telling first."""
    kernel = report.ours("kernel")
    first = ["nginx", kernel.name if kernel else ""]
    there = {ratio.below for ratio in report.ratios}
    others = [one.name for one in report.subjects if one.name not in first]
    return [name for name in [*first, *others] if name in there]


def _panel(report: Report, below: str) -> Panel:
    ratios = [ratio for ratio in report.ratios if ratio.below == below]
    ours = report.subject(below).ours
    heading = "user mode / kernel mode" if ours else f"kssl / {below}"
    return Panel(
        heading, "CPU time as a multiple; left of 1 is less", _drawing(report, ratios, below)
    )


def _drawing(report: Report, ratios: Sequence[Ratio], below: str) -> Markup:
    values = [1.0]
    for ratio in ratios:
        values += [value for value in (ratio.low, ratio.median, ratio.high) if value]
    scale = logarithmic(values, _NAME + 8, svg.WIDTH - _FIGURE - 6)
    drawn, top = list[Markup](), 2.0
    for scenario in report.scenarios:
        here = [ratio for ratio in ratios if ratio.scenario == scenario.name]
        if not here:
            continue
        name = svg.wrap(scenario.label, _NAME, lines=3)
        height = max(len(here), len(name)) * _LINE + _AIR
        if drawn:
            drawn.append(svg.line(0, top, svg.WIDTH, top, "rule"))
        drawn.append(_name(name, scenario.label, top + height / 2))
        middle = top + height / 2 - (len(here) - 1) * _LINE / 2
        drawn += [
            _ratio(report, ratio, scale, middle + index * _LINE)
            for index, ratio in enumerate(here)
        ]  # fmt: skip
        top += height
    one = svg.line(scale(1.0), 0, scale(1.0), top, "one")
    axis = svg.x_axis(scale, 0, top, lambda value: f"{value:g}", keep=1.0)
    said = f"CPU time of kssl as a multiple of that of {below}, {len(ratios)} ratios"
    return svg.drawing(svg.WIDTH, top + 20, said, axis, one, *drawn)


def _name(lines: Sequence[str], full: str, middle: float) -> Markup:
    first = middle - (len(lines) - 1) * _LINE / 2 + 4
    return join(
        *(
            svg.text(0, first + index * _LINE, said, full=full)
            for index, said in enumerate(lines)
        )
    )  # fmt: skip


def _ratio(report: Report, ratio: Ratio, scale: Scale, y: float) -> Markup:
    subject = report.subject(ratio.above)
    css = css_of(subject)
    line = NOTHING
    if ratio.low is not None and ratio.high is not None:
        line = svg.line(scale(ratio.low), y, scale(ratio.high), y, f"interval {css}")
    # Hollow where nothing was shown.
    look = "mark" if ratio.differs else "hollow"
    return svg.group(
        line,
        svg.mark(shape_of(subject), scale(ratio.median), y, f"{look} {css}", radius=4),
        svg.text(svg.WIDTH, y + 4, times(ratio.median), f"name {css}", anchor="end"),
        css="ratio",
        tip=f"{ratio.above} / {ratio.below}: {times(ratio.median)} "
        f"({interval(ratio.low, ratio.high)}), {ratio.verdict}",
    )
