"""One picture for a README: CPU time per request of everybody in the main scenarios.

It stands alone: GitHub shows it as an image, where no style of the page reaches it. It has a
background of its own, so that it can be read on whatever it is shown on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kssl.bench.html import svg
from kssl.bench.html.figures import micros
from kssl.bench.html.look import row_name
from kssl.bench.html.markup import Markup, element, join
from kssl.bench.html.model import Report, Scenario, Subject, dict_of, figure, parse, string
from kssl.bench.html.plots.bars import bar, longest, plain_row
from kssl.bench.html.scale import linear

_WIDTH = 800.0
_MARGIN, _NAME, _COLUMN_GAP, _FIGURE = 24.0, 128.0, 18.0, 58.0
_TOP, _ROW, _TEXT = 137.0, 24.0, 12.5

_LINES = 3  # of a heading

_HERE = Path(__file__).parent
_STYLES = ("palette.css", "plot.css", "picture.css")

# Shown where they were measured; others only fill up what is left of the columns.
_MAIN = ("tiny", "10k", "10m", "full")
_COLUMNS = 4


def picture(report: dict[str, Any]) -> str:
    """The report (schema "kssl-bench/1") as SVG. Without CPU times it says that there are none."""
    told = parse(report)
    scenarios = _scenarios(told)
    subjects = [
        one
        for one in told.subjects
        if any(_median(told, scenario, one) is not None for scenario in scenarios)
    ]
    height = _TOP + max(len(subjects), 1) * _ROW + 44
    style = "".join((_HERE / name).read_text(encoding="utf-8") for name in _STYLES)
    drawn = element(
        "svg",
        svg.title(f"CPU time per request of {len(subjects)} proxies"),
        element("style", Markup(style)),
        svg.rect(0.5, 0.5, _WIDTH - 1, height - 1, "back", round_=10),
        svg.text(_MARGIN, 36, "CPU time", "title", size=18),
        _below_title(told),
        *_names(subjects),
        *_columns(told, scenarios, subjects),
        _foot(told, height - 16),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {_WIDTH:g} {height:g}",
        width=_WIDTH,
        height=height,
        role="img",
        font_size=svg.TEXT,
    )
    return f"{drawn}\n"


def _scenarios(report: Report) -> list[Scenario]:
    measured = [
        one for one in report.scenarios if any(result.cpu for _, result in report.of(one))
    ]  # fmt: skip
    main = [one for one in measured if one.name in _MAIN]
    others = [one for one in measured if one.name not in _MAIN]
    chosen = [*main, *others][:_COLUMNS]
    return [one for one in measured if one in chosen]


def _median(report: Report, scenario: Scenario, subject: Subject) -> float | None:
    result = report.results.get((scenario.name, subject.name))
    return None if result is None or result.cpu is None else result.cpu.median


def _below_title(report: Report) -> Markup:
    said = "all processes of each proxy together; shorter is better"
    return svg.text(_MARGIN, 56, said if report.results else "nothing was measured", size=_TEXT)


def _names(subjects: Sequence[Subject]) -> list[Markup]:
    return [
        row_name(one, _y(index), _NAME, x=_MARGIN, size=_TEXT)
        for index, one in enumerate(subjects)
    ]  # fmt: skip


def _y(index: int) -> float:
    return _TOP + index * _ROW + _ROW / 2


def _columns(
    report: Report, scenarios: Sequence[Scenario], subjects: Sequence[Subject]
) -> list[Markup]:
    left = _MARGIN + _NAME + _COLUMN_GAP
    width = (_WIDTH - _MARGIN - left + _COLUMN_GAP) / max(len(scenarios), 1) - _COLUMN_GAP
    return [
        _column(report, one, subjects, left + index * (width + _COLUMN_GAP), width)
        for index, one in enumerate(scenarios)
    ]


def _column(
    report: Report, scenario: Scenario, subjects: Sequence[Subject], left: float, width: float
) -> Markup:
    medians = [
        value for one in subjects if (value := _median(report, scenario, one)) is not None
    ]  # fmt: skip
    scale = linear(longest(medians), left, left + width - _FIGURE)
    drawn = []
    for index, subject in enumerate(subjects):
        result = report.results.get((scenario.name, subject.name))
        if result is None or result.cpu is None:
            drawn.append(svg.text(left + 4, _y(index) + 4, "not measured", "tick", size=_TEXT - 1))
            continue
        cpu = result.cpu
        row = plain_row(subject, cpu, "")
        at = min(scale(max(cpu.median, min(cpu.high, scale.high))), scale.end) + 5
        drawn += [
            bar(row, scale, _y(index)),
            svg.text(at, _y(index) + 4, micros(cpu.median), "figure", size=_TEXT),
        ]
    return join(
        *_heading(scenario, left, width),
        *drawn,
        svg.line(left, _TOP, left, _TOP + len(subjects) * _ROW, "axis"),
    )


def _heading(scenario: Scenario, left: float, width: float) -> list[Markup]:
    lines = svg.wrap(scenario.label, width - 6, lines=_LINES, size=_TEXT * svg.BOLD / svg.TEXT)
    heading = [
        svg.text(left, _TOP - 9 - 15 * _LINES + index * 15, said, "heading", size=_TEXT)
        for index, said in enumerate(lines, _LINES - len(lines))
    ]
    unit = svg.fit(f"per {scenario.unit}", width, svg.TEXT)
    return [*heading, svg.text(left, _TOP - 8, unit, "tick")]


def _foot(report: Report, y: float) -> Markup:
    rounds, seconds = figure(report.told.get("rounds")), figure(report.told.get("seconds"))
    facts = [
        f"medians of {rounds:g} rounds of {seconds:g} s" if rounds and seconds else None,
        string(dict_of(report.told.get("machine")).get("cpu")),
        (string(report.told.get("when")) or "")[:10] or None,
    ]
    said = " · ".join(fact for fact in facts if fact)
    return svg.text(_MARGIN, y, svg.fit(said, _WIDTH - 2 * _MARGIN), "tick", full=said)
