"""The figures as tables, for those who want digits or do not see the plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kssl.bench.html.figures import NONE, interval, number, percentile, size, times
from kssl.bench.html.markup import NOTHING, Markup, element, escape, join
from kssl.bench.html.model import Report, Result, Scenario, Spread

Group = tuple[str, Sequence[Sequence[str]]]
"""A heading and rows; the first cell of a row is its heading."""


def results(report: Report) -> Markup:
    """Everything that was timed, a group of rows for each scenario."""
    head = (
        "proxy", "per s", "MB/s", "p50 µs", "p99 µs",
        "CPU µs", f"lowest{NONE}highest", "user µs", "system µs", "peak MiB",
    )  # fmt: skip
    groups = [
        (
            f"{one.label}, per {one.unit}",
            [_result(name.name, told) for name, told in report.of(one)],
        )
        for one in report.scenarios
    ]
    return table("Throughput, latency, CPU time and memory: medians over the rounds", head, groups)


def _result(name: str, told: Result) -> list[str]:
    peak, cpu, split = told.peak_memory_kib, told.cpu, told.cpu_split
    return [
        name,
        _median(told.per_s),
        _median(told.mb_per_s),
        number(told.percentiles.get(50.0)),
        number(told.percentiles.get(99.0)),
        _median(cpu),
        interval(cpu.low, cpu.high, number) if cpu else NONE,
        number(split.user if split else None),
        number(split.system if split else None),
        number(None if peak is None else peak / 1024),
    ]


def _median(spread: Spread | None) -> str:
    return number(spread.median if spread is not None else None)


def ratios(report: Report) -> Markup:
    """Every ratio with its interval and verdict."""
    head = ("ratio of", "to", "median", "95 % interval", "verdict")
    groups = [
        (
            scenario.label,
            [
                [one.above, one.below, times(one.median), interval(one.low, one.high), one.verdict]
                for one in report.ratios
                if one.scenario == scenario.name
            ],
        )
        for scenario in report.scenarios
    ]
    return table("CPU time as ratios, paired by round", head, groups, text=(1, 4))


def latencies(report: Report) -> Markup:
    """All percentiles that were told."""
    there = {
        which
        for scenario in report.scenarios
        for _, result in report.of(scenario)
        for which in result.percentiles
    }
    columns = sorted(there)
    groups = [
        (
            scenario.label,
            [
                [subject.name, *(number(result.percentiles.get(which)) for which in columns)]
                for subject, result in report.of(scenario)
                if result.percentiles
            ],
        )
        for scenario in report.scenarios
    ]
    return table("Latency in µs", ("proxy", *map(percentile, columns)), groups)


def processes(report: Report) -> Markup:
    """CPU time by kind of process."""
    groups = [(one.label, list(_process_rows(report, one))) for one in report.scenarios]
    head = ("proxy", "process", "user µs", "system µs")
    return table("CPU time by process, as counted in ticks", head, groups, text=(1,))


def _process_rows(report: Report, scenario: Scenario) -> Iterable[list[str]]:
    for subject, result in report.of(scenario):
        if len(result.by_process) < 2:
            continue
        for process, split in result.by_process.items():
            yield [subject.name, process, number(split.user), number(split.system)]


def crossings(report: Report) -> Markup:
    """What goes between front end and worker, what is copied, how often the system is called."""
    head = ("proxy", "frames", "sends", "bytes across", "bytes copied", "sends and receives")
    groups = [
        (
            f"{scenario.label}, per {scenario.unit}",
            [
                [
                    subject.name,
                    number(result.frames),
                    number(result.sends),
                    size(result.crossed_bytes),
                    size(result.copied_bytes),
                    number(result.system_calls),
                ]
                for subject, result in report.of(scenario)
                if _counted(result)
            ],
        )
        for scenario in report.scenarios
    ]
    return table("Between front end and worker, and through the system's calls", head, groups)


def _counted(result: Result) -> bool:
    counts = (
        result.frames, result.sends, result.crossed_bytes, result.copied_bytes, result.system_calls
    )  # fmt: skip
    return any(count is not None for count in counts)


def idle(report: Report) -> Markup:
    """Idle connections."""
    head = ("proxy", "connections", "KiB each", "p99 µs without", "p99 µs with")
    groups = [
        (
            scenario.label,
            [
                [
                    subject.name,
                    number(told.connections),
                    number(told.kib_per_connection),
                    number(told.p99_before),
                    number(told.p99_with),
                ]
                for subject, result in report.of(scenario)
                if (told := result.idle) is not None
            ],
        )
        for scenario in report.scenarios
    ]
    return table("Idle connections", head, groups)


def folded(caption: str, content: Markup, *, shown: bool = False) -> Markup:
    """``content`` below its caption, which opens and closes it. Nothing for nothing."""
    if not content:
        return NOTHING
    summary = element("summary", escape(caption))
    return element("details", summary, content, class_="more", open="" if shown else None)


def table(
    caption: str, head: Sequence[str], groups: Iterable[Group], *, text: Sequence[int] = ()
) -> Markup:
    """A table that scrolls sideways by itself where it is too wide. Nothing where it has no rows.

    ``text`` are the columns, beside the first, that hold words.
    """
    bodies = [_body(heading, rows, len(head), text) for heading, rows in groups if rows]
    if not bodies:
        return NOTHING
    columns = [
        element("th", escape(said), scope="col", class_=_css(index, text))
        for index, said in enumerate(head)
    ]
    whole = element(
        "table",
        element("caption", escape(caption)),
        element("thead", element("tr", *columns)),
        *bodies,
    )
    # Reached by the keyboard, so that it can be scrolled with it.
    return element("div", whole, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _body(heading: str, rows: Sequence[Sequence[str]], columns: int, text: Sequence[int]) -> Markup:
    inner = element("span", escape(heading))
    top = element("tr", element("th", inner, scope="rowgroup", colspan=columns, class_="group"))
    return element("tbody", top, *(_row(row, text) for row in rows))


def _row(row: Sequence[str], text: Sequence[int]) -> Markup:
    first = element("th", escape(row[0]), scope="row", class_="words")
    rest = [
        element("td", escape(said), class_=_css(index, text))
        for index, said in enumerate(row[1:], 1)
    ]
    return element("tr", join(first, *rest))


def _css(index: int, text: Sequence[int]) -> str | None:
    return "words" if index == 0 or index in text else None
