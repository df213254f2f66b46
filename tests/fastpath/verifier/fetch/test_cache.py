"""The cache: ends, order, and both of its bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.verifier.fetch.cache import Cache


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_until_its_end(clock: Clock) -> None:
    cache: Cache[str, str] = Cache(10, 100, clock)
    cache.put("a", "A", 1, 60)
    clock.time += 59.9
    assert cache.get("a") == "A"
    clock.time += 0.1
    assert cache.get("a") is None
    assert (len(cache), cache.size) == (0, 0)


def test_the_least_recently_used_goes(clock: Clock) -> None:
    cache: Cache[str, str] = Cache(2, 100, clock)
    cache.put("a", "A", 1, 60)
    cache.put("b", "B", 1, 60)
    assert cache.get("a") == "A"
    cache.put("c", "C", 1, 60)
    assert [cache.get(key) for key in "abc"] == ["A", None, "C"]


def test_bytes(clock: Clock) -> None:
    cache: Cache[str, str] = Cache(10, 100, clock)
    cache.put("a", "A", 50, 60)
    cache.put("b", "B", 50, 60)
    cache.put("c", "C", 1, 60)
    assert [cache.get(key) for key in "abc"] == [None, "B", "C"]
    cache.put("d", "D", 101, 60)
    assert [cache.get(key) for key in "bcd"] == ["B", "C", None]
    assert cache.size == 51


def test_shorten(clock: Clock) -> None:
    cache: Cache[str, str] = Cache(10, 100, clock)
    cache.put("a", "A", 1, 60)
    cache.shorten("a", 600)
    cache.shorten("b", 600)
    clock.time += 50
    assert cache.get("a") == "A"
    cache.shorten("a", 5)
    clock.time += 5
    assert cache.get("a") is None
    assert cache.get("b") is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60), st.integers(0, 9))))
def test_the_bounds_hold(puts: list[tuple[int, int, int]]) -> None:
    clock = Clock()
    cache: Cache[int, int] = Cache(5, 100, clock)
    for key, size, wait in puts:
        cache.put(key, size, size, 7)
        clock.time += wait
        kept = [value for each in range(10) if (value := cache.get(each)) is not None]
        assert len(kept) == len(cache) <= 5
        assert sum(kept) == cache.size <= 100
    cache.clear()
    assert (len(cache), cache.size) == (0, 0)
