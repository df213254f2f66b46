"""Bytes per second of large bodies."""

from __future__ import annotations

from kssl.bench.html.figures import interval, number
from kssl.bench.html.model import Report, Scenario
from kssl.bench.html.plots.bars import bars, plain_row
from kssl.bench.html.plots.panel import Panel

# Below this, MB/s say nothing that requests per second do not.
_LARGE = 2**20


def panels(report: Report) -> list[Panel]:
    """One for each scenario with bodies of 1 MiB or more."""
    return [panel for one in report.scenarios if (panel := _panel(report, one)) is not None]


def _panel(report: Report, scenario: Scenario) -> Panel | None:
    if scenario.size is None or scenario.size < _LARGE:
        return None
    rows = [
        plain_row(
            subject,
            speed,
            f"{subject.name}: {number(speed.median)} MB/s "
            f"({interval(speed.low, speed.high, number)})",
        )
        for subject, result in report.of(scenario)
        if (speed := result.mb_per_s) is not None
    ]
    if not rows:
        return None
    drawing = bars(report.subjects, rows, f"MB per second by proxy, {scenario.label}")
    return Panel(scenario.label, "MB/s; longer is better", drawing)
