"""The report as JSON: schema "kssl-bench/1".

What was not measured is null or missing, never 0. Times are in microseconds and sizes in bytes,
unless their names say something else.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kssl.bench.machine import describe
from kssl.bench.measure.rounds import Round
from kssl.bench.outcome import Outcome
from kssl.bench.report.stats import Ratio, paired_ratio, spread
from kssl.bench.scenarios import Scenario
from kssl.bench.subjects import Subject

SCHEMA = "kssl-bench/1"

# Bodies from which on megabytes per second say anything.
_BULK = 1024


def to_report(outcome: Outcome, command: str) -> dict[str, Any]:
    """Everything that a reader could want, with the raw rounds."""
    return {
        "schema": SCHEMA,
        "when": outcome.when.isoformat(timespec="seconds"),
        "command": command,
        "machine": describe(),
        "rounds": outcome.plan.rounds,
        "seconds": outcome.plan.seconds,
        "clock": outcome.clock,
        "taken_seconds": round(outcome.taken_seconds, 1),
        "pinning": {
            side: [] if core is None else [core] for side, core in asdict(outcome.cores).items()
        },
        "loads": [asdict(load) for load in outcome.loads],
        "backend": {
            "kind": outcome.backend.kind,
            "version": outcome.backend.version,
            "config": outcome.backend.config,
        },
        "subjects": [_subject(outcome, subject) for subject in outcome.subjects],
        "scenarios": [_scenario(scenario) for scenario in outcome.scenarios],
        "results": [
            _result(outcome, scenario, subject, rounds)
            for scenario in outcome.scenarios
            for subject in outcome.subjects
            if (rounds := outcome.rounds_of(scenario, subject))
        ],
        "ratios": [
            one
            for scenario in outcome.scenarios
            for above, below in pairs(outcome.subjects)
            if (one := _ratio(outcome, scenario, above, below)) is not None
        ],
        "notes": outcome.notes,
    }


def pairs(subjects: Sequence[Subject]) -> list[tuple[Subject, Subject]]:
    """What is compared: each kssl with each peer, and user mode with kernel mode."""
    ours = [subject for subject in subjects if subject.kind == "kssl"]
    peers = [subject for subject in subjects if subject.kind == "peer"]
    kernel = [subject for subject in ours if subject.mode == "kernel"]
    user = [subject for subject in ours if subject.mode == "user"]
    return [(above, below) for above in ours for below in peers] + [
        (above, below) for above in user for below in kernel
    ]


def _subject(outcome: Outcome, subject: Subject) -> dict[str, Any]:
    probed = outcome.probed.get(subject.name)
    return {
        "name": subject.name,
        "kind": subject.kind,
        "mode": subject.mode,
        "engine": subject.engine,
        "hops": subject.hops,
        "version": subject.version,
        "processes": list(subject.pids),
        "settings": dict(subject.settings),
        "tls": probed.tls if probed else None,
        "cipher": probed.cipher if probed else None,
    }


def _scenario(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "label": scenario.label,
        "kind": scenario.kind,
        "unit": scenario.unit,
        "size": scenario.size,
        "connections": scenario.connections,
        "rate": scenario.rate,
    }


def _result(
    outcome: Outcome, scenario: Scenario, subject: Subject, rounds: Sequence[Round]
) -> dict[str, Any]:
    key = (scenario.name, subject.name)
    counts, idle = outcome.counts.get(key), outcome.idle.get(key)
    bulk = scenario.kind in ("reply", "upload") and scenario.size >= _BULK
    return {
        "scenario": scenario.name,
        "subject": subject.name,
        "per_s": _series([one.rate for one in rounds]),
        "mb_per_s": _series([one.rate * scenario.size / 1e6 for one in rounds]) if bulk else None,
        "latency_us": None if key in outcome.without_latency else _latency(rounds),
        "cpu_us": _cpu(rounds),
        "crossings": counts
        and {"frames": counts.frames, "sends": counts.sends, "bytes": counts.bytes},
        "copied_bytes": counts and counts.copied_bytes,
        "system_calls": counts and counts.system_calls,
        "peak_memory_kib": max(one.peak for one in rounds) // 1024,
        "idle": idle
        and {
            "kib_per_connection": idle.kib_per_connection,
            "connections": idle.connections,
            "p99_us_before": idle.p99_us_before,
            "p99_us_with": idle.p99_us_with,
        },
    }


def _series(values: list[float]) -> dict[str, Any]:
    return {**asdict(spread(values)), "rounds": values}


def _latency(rounds: Sequence[Round]) -> dict[str, Any] | None:
    found = [dict(one.percentiles) for one in rounds if one.percentiles is not None]
    if len(found) != len(rounds):
        return None
    return {
        "p50": _series([one[50] for one in found]),
        "p99": _series([one[99] for one in found]),
        "percentiles": [
            [percentile, statistics.median(one[percentile] for one in found)]
            for percentile in found[0]
        ],
    }


def _cpu(rounds: Sequence[Round]) -> dict[str, Any]:
    """The total of a round is exact. How it divides into user and system time the kernel tells in
    ticks, which is too coarse for one round: the parts of all rounds together are taken, so
    scaled that their sum is the median."""
    series = _series([one.cpu_us for one in rounds])
    times: dict[str, tuple[float, float]] = {}
    for kind in rounds[0].cpu:
        total = sum(one.cpu[kind].total for one in rounds)
        user = sum(one.cpu[kind].user for one in rounds)
        system = sum(one.cpu[kind].system for one in rounds)
        share = user / (user + system) if user + system else 0.5
        times[kind] = total * share, total * (1 - share)
    scale = series["median"] / (sum(map(sum, times.values())) or 1)
    return {
        **series,
        "user": sum(user for user, _ in times.values()) * scale,
        "system": sum(system for _, system in times.values()) * scale,
        "by_process": {
            kind: {"user": user * scale, "system": system * scale}
            for kind, (user, system) in times.items()
        },
    }


def _ratio(
    outcome: Outcome, scenario: Scenario, above: Subject, below: Subject
) -> dict[str, Any] | None:
    found = paired_ratio(
        *(
            {one.number: one.cpu_us for one in outcome.rounds_of(scenario, subject)}
            for subject in (above, below)
        )
    )
    if found is None:
        return None
    return {
        "scenario": scenario.name,
        "above": above.name,
        "below": below.name,
        "median": found.median,
        "low": found.low,
        "high": found.high,
        "verdict": _verdict(found, above.name),
    }


def _verdict(ratio: Ratio, above: str) -> str:
    if not ratio.is_shown:
        return "no difference shown"
    return f"{above} costs {'more' if ratio.median > 1 else 'less'}"
