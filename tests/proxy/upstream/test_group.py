"""A group: in turn, past those that are paused, one trial at a time."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from kssl.config.target import Target
from kssl.proxy.upstream.dial import Address
from kssl.proxy.upstream.group import Group
from kssl.proxy.upstream.health import FIRST_PAUSE
from kssl.proxy.upstream.pool import Pool

_ADDRESS: Address = (socket.AF_INET, ("127.0.0.1", 1))
ONE, OTHER = object(), object()


@pytest.fixture
def pools() -> Iterator[list[Pool]]:
    loop = asyncio.new_event_loop()
    yield [Pool(loop, Target("http", "127.0.0.1", n + 1), 1, [_ADDRESS]) for n in range(3)]
    loop.close()


def test_one_is_the_only_one(pools: list[Pool]) -> None:
    assert Group(pools[:1]).only is pools[0]
    assert Group(pools[:2]).only is None


def test_in_turn(pools: list[Pool]) -> None:
    a, b, c = pools
    group = Group(pools)
    assert [group.next(ONE, 0.0) for _ in range(7)] == [a, b, c, a, b, c, a]


def test_one_that_failed_is_passed_over_and_then_tried_by_one(
    pools: list[Pool], caplog: pytest.LogCaptureFixture
) -> None:
    a, b = pools[:2]
    group = Group([a, b])
    a.health.failed(ONE, 100.0, 0.0)
    assert [group.next(ONE, 100.0 + FIRST_PAUSE / 2) for _ in range(3)] == [b, b, b]
    assert [group.next(ONE, 100.0 + FIRST_PAUSE) for _ in range(4)] == [a, b, b, b]
    a.failed(ONE, "connection refused")
    assert a.health.failures == 2
    a.health.give_back(ONE)
    assert caplog.messages == []  # it was told when it began
    assert a.health.connected()
    assert {group.next(ONE, 0.0), group.next(ONE, 0.0)} == {a, b}


def test_it_is_said_once(pools: list[Pool], caplog: pytest.LogCaptureFixture) -> None:
    pool = pools[0]
    for _ in range(3):
        pool.failed(ONE, "connection refused")
    pool.answered()
    pool.answered()
    assert caplog.messages == [
        "upstream http://127.0.0.1:1: connection refused; others take its requests",
        "upstream http://127.0.0.1:1: answers again",
    ]


def test_all_are_paused(pools: list[Pool]) -> None:
    """Then nobody is passed over, and nobody's request is the trial."""
    a, b = pools[:2]
    group = Group([a, b])
    for pool in (a, b):
        pool.health.failed(ONE, 100.0, 0.0)
    assert {group.next(ONE, 100.1), group.next(ONE, 100.1)} == {a, b}
    assert a.health.trial is b.health.trial is None


def test_instead(pools: list[Pool]) -> None:
    a, b, c = pools
    group = Group(pools)
    b.health.failed(ONE, 100.0, 0.0)
    assert group.instead([a], 101.0) is c
    assert group.instead([a, c], 101.0) is b
    assert group.instead([a, b, c], 101.0) is None
