"""When a name is looked up again, and what counts while nobody answers."""

from __future__ import annotations

import pytest

from kssl.proxy.upstream.freshness import (
    LONGEST,
    SHORTEST,
    STALE_UNANSWERED,
    STALE_UNKNOWN,
    WITHOUT_TTL,
    Freshness,
)

A, B = ("192.0.2.1",), ("192.0.2.2",)


def known(ttl: float | None = 60.0, at: float = 1000.0) -> Freshness:
    name = Freshness()
    name.begin(at)
    assert name.found(A, ttl, at)
    return name


def test_a_new_one_is_due_once() -> None:
    name = Freshness()
    assert name.due(0.0)
    assert not name.settled
    name.begin(0.0)
    assert not name.due(1e9)  # somebody asks


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [(60.0, 60.0), (0.0, SHORTEST), (86400.0, LONGEST), (None, WITHOUT_TTL)],
)
def test_it_is_due_by_its_ttl(ttl: float | None, seconds: float) -> None:
    name = known(ttl)
    assert not name.due(1000.0 + seconds - 0.1)
    assert name.due(1000.0 + seconds)


def test_what_has_changed() -> None:
    name = known()
    assert not name.found(A, 60.0, 1060.0)
    assert name.found(B, 60.0, 1120.0)
    assert name.found((*A, *B), 60.0, 1180.0)
    assert not name.found((*B, *A), 60.0, 1240.0)  # another order is nothing new


def test_after_a_failure_to_connect() -> None:
    """Soon, but not more often than the bound."""
    name = known()
    name.doubted()
    assert not name.due(1000.0 + SHORTEST - 0.1)
    assert name.due(1000.0 + SHORTEST)
    name.begin(1030.0)
    name.found(A, 60.0, 1030.0)
    for _ in range(100):
        name.doubted()
    assert not name.due(1030.0 + SHORTEST - 0.1)


def test_nobody_answers() -> None:
    name = known(at=0.0)
    now = 60.0
    while now < 60.0 + STALE_UNANSWERED:
        assert not name.failed("timed out", now, unknown=False)
        assert name.addresses == A
        assert not name.due(now + SHORTEST - 0.1)
        assert name.due(now + SHORTEST)
        now += STALE_UNANSWERED / 10
    assert name.failed("timed out", now, unknown=False)
    assert name.addresses == ()
    assert name.reason == "timed out"
    assert not name.failed("timed out", now + 5, unknown=False)  # nothing new
    assert name.found(A, 60.0, now + 10)
    assert name.reason == ""


def test_a_name_that_does_not_exist_any_more() -> None:
    name = known(at=0.0)
    assert not name.failed("no such name", 60.0, unknown=True)
    assert not name.failed("no such name", 60.0 + STALE_UNKNOWN - 1, unknown=True)
    assert name.failed("no such name", 60.0 + STALE_UNKNOWN, unknown=True)
    assert name.addresses == ()


def test_the_time_counts_from_the_first_failure_in_a_row() -> None:
    name = known(at=0.0)
    name.failed("no such name", 60.0, unknown=True)
    name.found(A, 60.0, 80.0)
    assert not name.failed("no such name", 140.0, unknown=True)
    assert name.addresses == A
