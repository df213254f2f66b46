"""From raw rounds to the terminal's table and to JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bench.machine import describe
from bench.run import Outcome
from bench.stats import Spread, Summary, ratio, summarize
from bench.table import number, render

_USER, _KERNEL = "kssl user", "kssl kernel"

_HEAD = (
    "scenario", "proxy", "front µs", "worker µs", "CPU µs/req", "min-max", "system µs",
    "req/s", "MB/s", "x nginx",
)  # fmt: skip


def to_text(outcome: Outcome) -> str:
    """The table, the ratios and what a reader must know."""
    labels = {scenario.name: scenario.label for scenario in outcome.scenarios}
    rows, shown = [], ""
    for summary in summarize(outcome.rounds, outcome.scenarios):
        label = labels[summary.scenario] if summary.scenario != shown else ""
        shown = summary.scenario
        versus = ratio(outcome.rounds, summary.scenario, summary.subject, "nginx")
        rows.append(_row(label, summary, versus))
    lines = [render(_HEAD, rows, left=2)]
    for scenario in outcome.scenarios:
        if (versus := ratio(outcome.rounds, scenario.name, _USER, _KERNEL)) is not None:
            lines.append(f"{scenario.label}: user/kernel {_spread(versus)}")
    lines += ["", *_footnotes(outcome)]
    return "\n".join(lines)


def _row(label: str, summary: Summary, versus: Spread | None) -> tuple[str, ...]:
    return (
        label,
        summary.subject,
        number(summary.kinds["front"]),
        number(summary.kinds["worker"]) if "worker" in summary.kinds else "-",
        number(summary.cpu.median),
        f"{number(summary.cpu.low)}-{number(summary.cpu.high)}",
        number(summary.system),
        number(summary.rate.median),
        number(summary.mb_per_s),
        "-" if versus is None or summary.subject == "nginx" else f"{versus.median:.2f}",
    )


def _spread(value: Spread) -> str:
    return f"{value.median:.2f} ({value.low:.2f}-{value.high:.2f})"


def _footnotes(outcome: Outcome) -> list[str]:
    said = [
        f"median of {outcome.number} rounds x {outcome.seconds} s, interleaved; "
        f"load {outcome.load}; backend {outcome.backend}; CPU time from {outcome.clock}",
    ]
    if outcome.cores.proxy is not None:
        pins = f"proxies on core {outcome.cores.proxy}, load and backend on {outcome.cores.load}"
        said.append(pins)
    ciphers = {f"{one.tls} {one.cipher}" for one in outcome.probed.values()}
    said.append(f"negotiated: {', '.join(sorted(ciphers))}; access logs off")
    if any(subject.name == "nginx" for subject in outcome.subjects):
        said.append(
            "nginx: 1 worker, keep-alive upstream pool, proxy_buffering on with default buffers; "
            "peer nginx-large has 64 KiB buffers and no temporary files"
        )
    said += [f"note: {note}" for note in outcome.notes]
    return said


def to_json(outcome: Outcome, command: str) -> dict[str, Any]:
    """Everything, with the raw rounds."""
    names = [subject.name for subject in outcome.subjects]
    ratios: dict[str, dict[str, Any]] = {}
    for scenario in outcome.scenarios:
        found = {}
        for above in names:
            for below in names:
                if above != below:
                    versus = ratio(outcome.rounds, scenario.name, above, below)
                    found[f"{above} / {below}"] = None if versus is None else asdict(versus)
        ratios[scenario.name] = found
    return {
        "command": command,
        "machine": describe(),
        "clock": outcome.clock,
        "cores": asdict(outcome.cores),
        "rounds_each": outcome.number,
        "seconds_each": outcome.seconds,
        "load": outcome.load,
        "backend": {"kind": outcome.backend, "config": outcome.backend_config},
        "subjects": [
            {
                "name": subject.name,
                "version": subject.version,
                **asdict(outcome.probed[subject.name]),
                **subject.settings,
            }
            for subject in outcome.subjects
        ],
        "scenarios": [asdict(scenario) for scenario in outcome.scenarios],
        "notes": outcome.notes,
        "summary": [asdict(one) for one in summarize(outcome.rounds, outcome.scenarios)],
        "ratios": ratios,
        "rounds": [asdict(one) for one in outcome.rounds],
    }
