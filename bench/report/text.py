"""The report for the terminal, made from its JSON."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

from kssl.bench.report.stats import ENOUGH_ROUNDS
from kssl.bench.report.table import number, render

_WIDTH = 120

_KINDS = ("front", "filter", "worker")


def to_text(report: dict[str, Any]) -> str:
    """A table for each scenario, the ratios, then what a reader must know."""
    lines: list[str] = []
    for scenario in report["scenarios"]:
        results = [one for one in report["results"] if one["scenario"] == scenario["name"]]
        if results:
            lines += [f"{scenario['name']}: {scenario['label']}", _table(scenario, results), ""]
    if report["ratios"]:
        lines += ["CPU time as a multiple, with its 95 % interval", _ratios(report), ""]
    for note in _footnotes(report):
        lines += textwrap.wrap(note, _WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def _table(scenario: dict[str, Any], results: list[dict[str, Any]]) -> str:
    kinds = [kind for kind in _KINDS if any(kind in one["cpu_us"]["by_process"] for one in results)]
    columns = {
        "proxy": [one["subject"] for one in results],
        f"µs/{scenario['unit']}": [number(one["cpu_us"]["median"]) for one in results],
        "min-max": [_range(one["cpu_us"]) for one in results],
        "system": [number(one["cpu_us"]["system"]) for one in results],
        **{kind: [_of_kind(one, kind) for one in results] for kind in kinds},
        "per s": [number(one["per_s"]["median"]) for one in results],
        "MB/s": [_median(one["mb_per_s"]) for one in results],
        "p50 µs": [_median(_in(one["latency_us"], "p50")) for one in results],
        "p99 µs": [_median(_in(one["latency_us"], "p99")) for one in results],
        "MiB": [number(one["peak_memory_kib"] / 1024) for one in results],
        "frames": [_number(_in(one["crossings"], "frames")) for one in results],
        "calls": [_number(one["system_calls"]) for one in results],
        "KiB/idle": [_number(_in(one["idle"], "kib_per_connection")) for one in results],
        "p99 before": [_number(_in(one["idle"], "p99_us_before")) for one in results],
    }
    shown = {head: cells for head, cells in columns.items() if set(cells) != {"-"}}
    return render(list(shown), list(zip(*shown.values(), strict=True)))


def _of_kind(result: dict[str, Any], kind: str) -> str:
    found = result["cpu_us"]["by_process"].get(kind)
    return "-" if found is None else number(found["user"] + found["system"])


def _in(part: dict[str, Any] | None, name: str) -> Any:
    return None if part is None else part[name]


def _number(value: float | None) -> str:
    return "-" if value is None else number(value)


def _median(series: dict[str, Any] | None) -> str:
    return "-" if series is None else number(series["median"])


def _range(series: dict[str, Any]) -> str:
    return f"{number(series['low'])}-{number(series['high'])}"


def _ratios(report: dict[str, Any]) -> str:
    rows = []
    shown = ""
    for one in report["ratios"]:
        name = one["scenario"] if one["scenario"] != shown else ""
        shown = one["scenario"]
        rows.append(
            (
                name,
                f"{one['above']} / {one['below']}",
                f"{one['median']:.2f}",
                f"{one['low']:.2f}-{one['high']:.2f}",
                one["verdict"] if report["rounds"] >= ENOUGH_ROUNDS else "too few rounds",
            )
        )
    return render(("scenario", "ratio", "median", "95 %", "verdict"), rows, left=2, last_left=True)


def _footnotes(report: dict[str, Any]) -> Iterator[str]:
    loads = sorted({f"{load['name']} {load['version']}" for load in report["loads"]})
    backend = f"{report['backend']['kind']} {report['backend']['version'] or ''}".strip()
    yield (
        f"medians of {report['rounds']} rounds x {report['seconds']} s, interleaved; load "
        f"{', '.join(loads)}; backend {backend}; CPU time from {report['clock']}; access logs off"
    )
    cores = [f"{side} {', '.join(map(str, on))}" for side, on in report["pinning"].items() if on]
    if cores:
        yield f"cores: {', '.join(cores)}"
    ciphers = {f"{one['tls']} {one['cipher']}" for one in report["subjects"] if one["tls"]}
    yield f"negotiated: {', '.join(sorted(ciphers))}"
    versions = [f"{one['name']} {one['version']}" for one in report["subjects"]]
    yield f"versions: {', '.join(versions)}"
    for note in report["notes"]:
        yield f"note: {note}"
