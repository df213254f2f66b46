"""CPU time per request, split by process and by user and system time: one panel per scenario."""

from __future__ import annotations

from kssl.bench.html.figures import micros, number
from kssl.bench.html.look import swatch
from kssl.bench.html.markup import Markup
from kssl.bench.html.model import Report, Result, Scenario, Split, Subject
from kssl.bench.html.plots.bars import Row, bars, longest
from kssl.bench.html.plots.panel import Panel

# Class and meaning of the parts, in the order in which they are stacked.
_OURS = (
    ("p-front-user", "front end, user"),
    ("p-front-system", "front end, system"),
    ("p-filter", "filter"),
    ("p-worker-user", "crypto worker, user"),
    ("p-worker-system", "crypto worker, system"),
    ("p-other", "other processes"),
)
_THEIRS = (
    ("p-peer-user", "another proxy, user"),
    ("p-peer-system", "another proxy, system"),
    ("p-unknown", "not split"),
)

# From here on a panel is in ms.
_MANY_MICROS = 10_000.0

Parts = list[tuple[float, str]]


def panels(report: Report) -> list[Panel]:
    """One for each scenario with any CPU time."""
    return [panel for one in report.scenarios if (panel := _panel(report, one)) is not None]


def keys(report: Report) -> list[tuple[Markup, str]]:
    """For the legend: the parts that there are in this report."""
    used = {
        css
        for scenario in report.scenarios
        for subject, result in report.of(scenario)
        for value, css in parts(subject, result)
        if value > 0
    }
    return [swatch(css, said) for css, said in (*_OURS, *_THEIRS) if css in used]


def _panel(report: Report, scenario: Scenario) -> Panel | None:
    rows = [
        Row(subject, parts(subject, result), result.cpu, _tip(result))
        for subject, result in report.of(scenario)
        if result.cpu is not None
    ]
    if not rows:
        return None
    many = longest([row.spread.median for row in rows]) >= _MANY_MICROS
    scale, unit = (1e3, "ms") if many else (1.0, "µs")
    drawing = bars(
        report.subjects,
        rows,
        f"CPU time per {scenario.unit} by proxy, {scenario.label}",
        write=lambda value: number(value / scale),
        tick=lambda value: f"{value / scale:,g}",
    )
    return Panel(scenario.label, f"{unit} of CPU per {scenario.unit}; shorter is better", drawing)


def parts(subject: Subject, result: Result) -> Parts:
    """CPU time by part, which add up to the median.

    The split is counted in ticks, the sum in nanoseconds, so the split is scaled to the sum.
    """
    if result.cpu is None:
        return []
    found = _ours(result.by_process) if subject.ours else _theirs(result)
    total = sum(value for value, _ in found)
    if total <= 0:
        return [(result.cpu.median, "p-unknown")]
    return [(value * result.cpu.median / total, css) for value, css in found]


def _ours(by_process: dict[str, Split]) -> Parts:
    rest = dict(by_process)
    found: Parts = []
    for name in ("front", "filter", "worker"):
        if (split := rest.pop(name, None)) is None:
            continue
        if name == "filter":
            found.append((_sum(split), "p-filter"))
        else:
            found += [(split.user, f"p-{name}-user"), (split.system or 0.0, f"p-{name}-system")]
    found.append((_sum(*rest.values()), "p-other"))
    return found


def _theirs(result: Result) -> Parts:
    splits = list(result.by_process.values())
    if not splits and result.cpu_split is not None:
        splits = [result.cpu_split]
    return [
        (sum(split.user for split in splits), "p-peer-user"),
        (sum(split.system or 0.0 for split in splits), "p-peer-system"),
    ]


def _sum(*splits: Split) -> float:
    return sum(split.user + (split.system or 0.0) for split in splits)


def _tip(result: Result) -> str:
    said = [
        f"{name} {micros(split.user)} user, {micros(split.system)} system"
        for name, split in result.by_process.items()
    ]
    assert result.cpu is not None
    return "; ".join([f"{result.subject}: {micros(result.cpu.median)}", *said])
