"""Medians, ratios, and intervals that hold what they promise."""

from __future__ import annotations

import random
import statistics

import pytest

from kssl.bench.report.stats import Ratio, Spread, bootstrap, paired_ratio, spread


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_ratio_is_taken_round_by_round() -> None:
    found = paired_ratio({0: 20.0, 1: 22.0, 2: 25.0}, {0: 10.0, 1: 20.0, 2: 10.0})
    assert found is not None
    assert (found.median, found.high, found.rounds) == (2.0, 2.5, 3)
    assert found.low == pytest.approx(1.1)


def test_only_rounds_of_both_count() -> None:
    found = paired_ratio({0: 20.0, 1: 22.0}, {1: 11.0, 2: 10.0})
    assert found == Ratio(2.0, 2.0, 2.0, 1)
    assert paired_ratio({0: 1.0}, {1: 1.0}) is None


def test_bootstrap_is_the_same_every_time() -> None:
    values = [1.31, 1.29, 1.35, 1.30, 1.33]
    assert bootstrap(values) == bootstrap(values)


def test_bootstrap_of_values_that_are_all_the_same() -> None:
    assert bootstrap([1.5] * 5) == (1.5, 1.5)


@pytest.mark.parametrize("rounds", [5, 9])
def test_bootstrap_covers_the_truth(rounds: int) -> None:
    """Of 200 series whose true median is known, some 95 % must have it in their interval."""
    draw = random.Random(1)
    covered = 0
    for _ in range(200):
        low, high = bootstrap([draw.gauss(1.3, 0.05) for _ in range(rounds)])
        covered += low <= 1.3 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_bootstrap_narrows_with_more_rounds() -> None:
    draw = random.Random(2)
    values = [draw.gauss(1.3, 0.05) for _ in range(80)]
    few, many = bootstrap(values[:8]), bootstrap(values)
    assert many[1] - many[0] < (few[1] - few[0]) / 2
    assert many[0] < statistics.median(values) < many[1]


@pytest.mark.parametrize(
    ("low", "high", "rounds", "shown"),
    [
        (1.1, 1.3, 5, True),
        (0.7, 0.9, 5, True),
        (0.9, 1.1, 5, False),
        (1.0, 1.2, 5, False),
        (1.1, 1.3, 4, False),
    ],
)
def test_a_difference_is_shown_when_one_is_outside(
    low: float, high: float, rounds: int, shown: bool
) -> None:
    assert Ratio(1.2, low, high, rounds).is_shown is shown
