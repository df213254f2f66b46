"""Medians over rounds, and ratios between subjects."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.rounds import Round
from bench.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and what lies around it."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Summary:
    """One subject in one scenario, over all rounds. CPU times are µs for each request."""

    scenario: str
    subject: str
    cpu: Spread
    system: float
    kinds: dict[str, float]
    rate: Spread
    mb_per_s: float


def summarize(rounds: Sequence[Round], scenarios: Sequence[Scenario]) -> list[Summary]:
    """One summary for each scenario and subject, in the order of the rounds."""
    sizes = {scenario.name: scenario.size for scenario in scenarios}
    groups: dict[tuple[str, str], list[Round]] = {}
    for one in rounds:
        groups.setdefault((one.scenario, one.subject), []).append(one)
    return [_summary(group, sizes[scenario]) for (scenario, _), group in groups.items()]


def _summary(group: Sequence[Round], size: int) -> Summary:
    rate = spread([one.rate for one in group])
    return Summary(
        scenario=group[0].scenario,
        subject=group[0].subject,
        cpu=spread([one.total for one in group]),
        system=statistics.median(sum(usage.system for usage in one.cpu.values()) for one in group),
        kinds={
            kind: statistics.median(one.cpu[kind].total for one in group) for kind in group[0].cpu
        },
        rate=rate,
        mb_per_s=rate.median * size / 1e6,
    )


def ratio(rounds: Sequence[Round], scenario: str, above: str, below: str) -> Spread | None:
    """CPU time of ``above`` as a multiple of that of ``below``; None unless both were measured.

    Round by round, and the median of that: both halves of a round ran in the same seconds.
    """
    totals: dict[str, dict[int, float]] = {above: {}, below: {}}
    for one in rounds:
        if one.scenario == scenario and one.subject in totals:
            totals[one.subject][one.number] = one.total
    both = sorted(totals[above].keys() & totals[below].keys())
    if not both:
        return None
    return spread([totals[above][number] / totals[below][number] for number in both])
