"""What was found: a table for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kssl.bench.attacks.kinds import by_name
from kssl.bench.attacks.run import OTHERS, Found, Wanted
from kssl.bench.report.table import render

SCHEMA = "kssl-bench-attacks-1"
TARGET = 2.0
"""The others' p99 under attack may be so many times that without."""


def to_report(found: Sequence[Found], wanted: Wanted, command: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "command": command,
        "others": OTHERS.label,
        "rounds": wanted.rounds,
        "seconds": wanted.seconds,
        "target": TARGET,
        "attacks": {attack.name: attack.label for attack in wanted.attacks},
        "found": [asdict(one) for one in found],
    }


def to_text(found: Sequence[Found]) -> str:
    """The others' latencies in milliseconds, idle → under attack."""
    rows = []
    for one in found:
        idle, under = one.idle, one.attacked
        rows.append(
            [
                by_name()[one.attack].label,
                one.subject,
                f"{idle.p50 / 1000:.2f}",
                f"{under.p50 / 1000:.2f}" if under is not None else "-",
                f"{idle.p99 / 1000:.2f}",
                f"{under.p99 / 1000:.2f}" if under is not None else "-",
                f"{one.ratio:.1f}" if one.ratio is not None else "-",
                _verdict(one),
            ]
        )
    head = ["attack", "proxy", "p50", "attacked", "p99", "attacked", "ratio", ""]
    told = f"Others: {OTHERS.label}; latencies in ms, medians of the rounds."
    return f"{told}\n\n{render(head, rows, left=2, last_left=True)}"


def _verdict(one: Found) -> str:
    if one.ratio is None:
        return one.failed
    return "" if one.ratio <= TARGET else f"above {TARGET:.0f}"
