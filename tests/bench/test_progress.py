"""The bar, and the estimate."""

from __future__ import annotations

import io

import pytest

from kssl.bench import estimate
from kssl.bench.outcome import Plan
from kssl.bench.progress import Progress, duration
from kssl.bench.scenarios import choose


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_terminals() -> None:
    terminal = _Terminal()
    bar = Progress(10.0, terminal)
    bar.step(5.0, "tiny 1/2")
    assert "50%" in terminal.getvalue()
    assert "0 s left  tiny 1/2" in terminal.getvalue()
    bar.clear()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_no_bar_elsewhere() -> None:
    file = io.StringIO()
    bar = Progress(10.0, file)
    bar.step(5.0, "tiny 1/2")
    bar.clear()
    assert file.getvalue() == ""


@pytest.mark.parametrize(("seconds", "text"), [(45.2, "45 s"), (750, "12 min")])
def test_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_estimate_grows_with_the_work() -> None:
    scenarios = choose(["tiny", "10k"])
    few, many = Plan(scenarios=scenarios, rounds=1), Plan(scenarios=scenarios, rounds=5)
    assert estimate.total(few, scenarios, 3) < estimate.total(many, scenarios, 3)
    assert "2 scenarios x 3 proxies x 5 rounds of 3 s" in estimate.in_words(many, scenarios, 3, 9)
