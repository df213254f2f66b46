"""The report for the terminal."""

from __future__ import annotations

import pytest

from kssl.bench.outcome import Outcome, Plan
from kssl.bench.report.shape import to_report
from kssl.bench.report.table import number, render
from kssl.bench.report.text import to_text
from tests.bench.report.sample import TINY, outcome


def _text(one: Outcome) -> str:
    return to_text(to_report(one, "kssl bench"))


def test_a_table_for_each_scenario() -> None:
    lines = _text(outcome()).splitlines()
    start = lines.index("tiny: 12 B, 32 connections")
    head, user = lines[start + 1 : start + 3]
    assert head.split()[:2] == ["proxy", "µs/request"]
    assert user.split()[:4] == ["kssl", "user", "50.0", "40.0-60.0"]
    assert "frames" in head
    # A column that nobody has a figure for is left out.
    assert "MB/s" not in head
    assert "KiB/idle" not in head


def test_ratios_and_notes() -> None:
    text = _text(outcome())
    tiny = next(line for line in text.splitlines() if "kssl user / kssl kernel" in line)
    assert tiny.split()[5] == "2.43"
    assert tiny.endswith("kssl user costs more")
    assert "cores: proxy 0, load 1, backend 3" in text
    assert "negotiated: TLSv1.3 TLS_AES_256_GCM_SHA384\n" in text
    assert "note: without caddy: not installed" in text


def test_no_verdict_of_few_rounds() -> None:
    few = outcome()
    few.plan = Plan(scenarios=[TINY], rounds=3)
    text = _text(few)
    assert "too few rounds" in text
    assert "costs more" not in text


def test_it_fits_the_terminal() -> None:
    assert max(map(len, _text(outcome()).splitlines())) <= 120


def test_table() -> None:
    assert render(("a", "b"), [("long", "1"), ("x", "22")]) == "a      b\nlong   1\nx     22"


def test_table_with_words_at_its_end() -> None:
    rows = [("x", "1", "so"), ("y", "22", "or not")]
    assert render(("a", "b", "c"), rows, last_left=True) == "a   b  c\nx   1  so\ny  22  or not"


@pytest.mark.parametrize(("value", "text"), [(0.654, "0.65"), (12.34, "12.3"), (25000.4, "25,000")])
def test_number(value: float, text: str) -> None:
    assert number(value) == text
