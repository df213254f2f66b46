"""How long a benchmark will take: for the line at its start and the bar."""

from __future__ import annotations

from collections.abc import Sequence

from kssl.bench.measure import counting
from kssl.bench.outcome import Plan
from kssl.bench.progress import duration
from kssl.bench.scenarios import Scenario

# Beside the time that is measured: a load's start, its warming up, its end.
_AROUND_A_ROUND = 1.0
_START = 1.5
_TEN_THOUSAND_HANDSHAKES = 20.0

COUNTED = 3.5


def one_round(plan: Plan) -> float:
    """In seconds, as all of these."""
    return plan.seconds + _AROUND_A_ROUND


def idle(plan: Plan) -> float:
    """Beside the round that is kept."""
    return one_round(plan) + _START + _TEN_THOUSAND_HANDSHAKES


def total(plan: Plan, scenarios: Sequence[Scenario], subjects: int) -> float:
    seconds = subjects * _START
    for scenario in scenarios:
        if scenario.kind == "idle":
            seconds += subjects * (idle(plan) + one_round(plan))
        else:
            seconds += subjects * plan.rounds * one_round(plan)
            if counting.missing() is None:
                seconds += len(plan.modes) * COUNTED
    return seconds


def in_words(plan: Plan, scenarios: Sequence[Scenario], subjects: int, seconds: float) -> str:
    parts = [
        _many(len(scenarios), "scenario", "scenarios"),
        _many(subjects, "proxy", "proxies"),
        _many(plan.rounds, "round", "rounds"),
    ]
    return f"{' x '.join(parts)} of {plan.seconds} s: about {duration(seconds)}"


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
