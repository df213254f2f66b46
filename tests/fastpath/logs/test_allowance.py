"""How many lines of a kind may be written in a while."""

from __future__ import annotations

from kssl.fastpath.logs.allowance import Allowance


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_ones_of_each_kind_pass() -> None:
    clock = Clock()
    allowance = Allowance(3, 10.0, clock)
    assert [allowance.allows("a") for _ in range(5)] == [True, True, True, False, False]
    assert allowance.allows("b")
    assert allowance.left_out == {"a": 2}


def test_what_was_left_out_is_told_once_when_the_interval_ends() -> None:
    clock = Clock()
    allowance = Allowance(1, 10.0, clock)
    for _ in range(4):
        allowance.allows("a")
    allowance.allows("b")
    clock.now += 9.9
    assert allowance.over() == []
    clock.now += 0.1
    assert allowance.over() == [("a", 3)]
    assert allowance.over() == []
    assert allowance.allows("a")
    clock.now += 10
    assert allowance.over() == []
    assert allowance.left_out == {"a": 3}


def test_the_next_interval_begins_although_nobody_has_asked() -> None:
    clock = Clock()
    allowance = Allowance(1, 10.0, clock)
    assert [allowance.allows("a"), allowance.allows("a")] == [True, False]
    clock.now += 10
    assert [allowance.allows("a"), allowance.allows("a")] == [True, False]
    assert allowance.over() == []
    clock.now += 10
    assert allowance.over() == [("a", 2)]


def test_the_rest_at_the_end() -> None:
    allowance = Allowance(0, 10.0, Clock())
    allowance.allows("a")
    assert allowance.rest() == [("a", 1)]
    assert allowance.rest() == []
