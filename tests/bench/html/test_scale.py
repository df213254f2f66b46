"""Ticks are round, few and in range; labels are measured and kept apart."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kssl.bench.html.figures import micros, number, percentile, short, size, tick_micros, times
from kssl.bench.html.scale import apart, linear, logarithmic, spaced, ticks
from kssl.bench.html.svg import fit, text_width, wrap

_SIZES = st.floats(1e-6, 1e12)


@pytest.mark.parametrize(
    ("high", "expected"),
    [(92.2, [0, 20, 40, 60, 80]), (1.0, [0, 0.5, 1]), (26_000, [0, 10_000, 20_000])],
)
def test_round_ticks(high: float, expected: list[float]) -> None:
    assert ticks(linear(high, 0, 100)) == expected


@settings(deadline=None)
@given(_SIZES, st.integers(3, 7))
def test_linear_ticks_are_few_and_within(high: float, most: int) -> None:
    found = ticks(linear(high, 0, 100), most)
    assert found[0] == 0
    assert 2 <= len(found) <= most
    assert found[-1] <= high * (1 + 1e-6)


@settings(deadline=None)
@given(st.lists(_SIZES, min_size=1), st.integers(3, 7))
def test_log_ticks_are_few_and_within(values: list[float], most: int) -> None:
    scale = logarithmic(values, 0, 100)
    found = ticks(scale, most)
    assert 1 <= len(found) <= most
    assert all(scale.low <= value <= scale.high for value in found)


def test_log_scale_is_even() -> None:
    scale = logarithmic([1.0, 100.0], 0, 100, air=1.0)
    assert scale(10.0) == pytest.approx(50)
    assert scale(1000.0) == 100
    assert scale(0.0) == 0


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), max_size=20), st.floats(1, 12))
def test_apart(wanted: list[float], gap: float) -> None:
    places = apart(wanted, gap, 0, 100)
    fair = min(gap, 100 / max(len(wanted) - 1, 1))
    order = sorted(places)
    assert all(b - a >= fair - 1e-6 for a, b in itertools.pairwise(order))
    assert all(-1e-6 <= place <= 100 + 1e-6 for place in places)
    if wanted:
        assert places.index(min(places)) == wanted.index(min(wanted))


def test_spaced_keeps_the_first() -> None:
    kept = spaced([0.9, 1.0, 1.1, 2.0], lambda value: (value * 10, value * 10 + 4), first=1.0)
    assert kept == [1.0, 2.0]


def test_text_is_cut_to_its_place() -> None:
    assert fit("nginx", 100) == "nginx"
    cut = fit("a-proxy-with-a-long-name", 60)
    assert cut.endswith("…")
    assert text_width(cut) <= 60
    assert fit("界" * 50, 60).count("界") == 4


def test_wrapped_between_words() -> None:
    assert wrap("12 B, 32 connections", 100, lines=2) == ["12 B, 32", "connections"]
    assert wrap("short", 100, lines=2) == ["short"]
    assert wrap("", 100, lines=2) == []
    lines = wrap("many words that do not fit into two lines of this width", 80, lines=2)
    assert len(lines) == 2
    assert all(text_width(line) <= 80 for line in lines)


def test_figures() -> None:
    dash = "–"  # noqa: RUF001
    written = [number(value) for value in (None, 0, 1.234, 12.34, 99.96, 123.4, 12345.6)]
    assert written == [dash, "0", "1.23", "12.3", "100", "123", "12,346"]
    assert [micros(value) for value in (12.34, 1234.0, 2.5e6)] == ["12.3 µs", "1.23 ms", "2.50 s"]
    assert [times(value) for value in (0.0123, 0.41, 1.5, 12.3, 123.0)] == [
        "0.012", "0.41", "1.50", "12.3", "123",
    ]  # fmt: skip
    assert [size(value) for value in (12, 2048, 10 * 2**20)] == ["12.0 B", "2.00 KiB", "10.0 MiB"]
    assert [short(value) for value in (0.5, 2000, 20_000, 3e6)] == ["0.5", "2,000", "20 k", "3 M"]
    assert [tick_micros(value) for value in (50, 5000, 2e6)] == ["50 µs", "5 ms", "2 s"]
    assert percentile(99.9) == "p99.9"
