"""A group: in turn, failing over, and leaving out what refused."""

from __future__ import annotations

import asyncio
import socket

import pytest

from config.target import Target
from proxy.upstream.group import SKIP, Group
from proxy.upstream.pool import Address, Pool

_ADDRESS: Address = (socket.AF_INET, ("127.0.0.1", 1))


def pools(count: int) -> list[Pool]:
    loop = asyncio.new_event_loop()
    loop.close()
    return [Pool(loop, Target("http", "127.0.0.1", n + 1), 1, [_ADDRESS]) for n in range(count)]


def test_one_is_the_only_one() -> None:
    (pool,) = pools(1)
    assert Group([pool]).only is pool
    assert Group(pools(2)).only is None


def test_in_turn() -> None:
    a, b, c = pools(3)
    group = Group([a, b, c])
    assert [group.next(0.0) for _ in range(7)] == [a, b, c, a, b, c, a]


def test_one_that_refused_is_left_out_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    a, b = pools(2)
    group = Group([a, b])
    group.refused(a, "connection refused", 100.0)
    assert [group.next(100.0 + SKIP - 0.1) for _ in range(3)] == [b, b, b]
    assert [group.next(100.0 + SKIP) for _ in range(2)] == [a, b]
    group.refused(a, "connection refused", 106.0)
    assert group.next(106.5) is b
    assert caplog.messages == [
        "upstream http://127.0.0.1:1: connection refused; others take its requests"
    ]
    a.answered(_ADDRESS)
    assert caplog.messages[1:] == ["upstream http://127.0.0.1:1: answers again"]
    assert {group.next(106.5), group.next(106.5)} == {a, b}


def test_all_refused() -> None:
    """Then nobody is left out."""
    a, b = pools(2)
    group = Group([a, b])
    for pool in (a, b):
        group.refused(pool, "connection refused", 100.0)
    assert {group.next(101.0), group.next(101.0)} == {a, b}


def test_instead() -> None:
    a, b, c = pools(3)
    group = Group([a, b, c])
    group.refused(b, "connection refused", 100.0)
    assert group.instead([a], 101.0) is c
    assert group.instead([a, c], 101.0) is b
    assert group.instead([a, b, c], 101.0) is None
