"""Which upstream gets a request: pauses that grow, and one trial at a time."""

from __future__ import annotations

from kssl.proxy.upstream.health import FIRST_PAUSE, JITTER, LONGEST_PAUSE, TRIAL_LIMIT, Health

ONE, OTHER = object(), object()


def failed_once(at: float = 100.0) -> Health:
    health = Health()
    assert health.failed(ONE, at, 0.0)
    return health


def test_well_until_it_fails() -> None:
    health = Health()
    assert not health.paused(0.0)
    assert health.order(0.0) == (False, 0.0)
    assert not health.connected()  # nothing new


def test_the_pause_grows_and_has_an_end() -> None:
    health, now, pauses = Health(), 100.0, []
    for _ in range(12):
        health.failed(ONE, now, 0.0)
        pauses.append(health.pause_left(now))
        now += pauses[-1]
        assert not health.paused(now)
        health.try_out(ONE, now)
    assert pauses[:4] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, 8 * FIRST_PAUSE]
    assert pauses[-1] == LONGEST_PAUSE
    for _ in range(5000):  # no overflow
        health.failed(ONE, now, 1.0)
        now += LONGEST_PAUSE
    assert health.pause_left(now - LONGEST_PAUSE) == LONGEST_PAUSE * (1 - JITTER)


def test_one_at_a_time_tries() -> None:
    health = failed_once()
    now = 100.0 + FIRST_PAUSE
    assert not health.paused(now)
    health.try_out(ONE, now)
    assert health.paused(now)
    assert health.paused(now + TRIAL_LIMIT - 1)
    assert not health.paused(now + TRIAL_LIMIT)
    health.give_back(OTHER)
    assert health.paused(now)
    health.give_back(ONE)
    assert not health.paused(now)


def test_failures_of_what_began_before_the_pause_count_once() -> None:
    health = failed_once()
    for _ in range(50):
        assert not health.failed(OTHER, 100.1, 0.0)
    assert health.failures == 1
    health.try_out(ONE, 102.0)
    health.failed(OTHER, 102.1, 0.0)
    assert health.trial is ONE
    assert not health.failed(ONE, 102.2, 0.0)  # no news for the log, but it counts
    assert health.failures == 2


def test_connecting_makes_well_again_unless_it_was_silent() -> None:
    health = failed_once()
    assert health.connected()
    assert health.failures == 0

    health = Health()
    health.failed(ONE, 100.0, 0.0, silent=True)
    assert not health.connected()
    assert health.failures == 1
    assert health.answered()
    assert not health.paused(100.0)
    assert not health.answered()


def test_order() -> None:
    """Those that are well, then by what is left of the pause."""
    well, soon, late = Health(), failed_once(), failed_once(100.5)
    assert sorted([late, soon, well], key=lambda each: each.order(100.6)) == [well, soon, late]
