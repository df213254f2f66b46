"""An app that says when it closes an idle connection is not asked on one that it is closing."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from kssl.config.target import Target
from kssl.fastpath.net.channel import Channel
from kssl.proxy.frontend.deadlines import INTERVAL
from kssl.proxy.upstream.connection import UpstreamConnection
from kssl.proxy.upstream.pool import MARGIN, MAX_IDLE_TIME, Pool

NOBODY = Target("http", "127.0.0.1", 9)
NEXT = 0.001  # seconds later


@contextlib.contextmanager
def connection(pool: Pool) -> Iterator[UpstreamConnection]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with theirs:
        channel = Channel(
            asyncio.get_running_loop(), ours, lambda: None, lambda: None, lambda error: None
        )
        made = UpstreamConnection(channel, pool.forget)
        yield made
        made.close()


def new_pool() -> Pool:
    return Pool(asyncio.get_running_loop(), NOBODY, 5.0, [])


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        (None, MAX_IDLE_TIME),
        (1, 0.5),
        (2, 1.0),
        (5, 5 - MARGIN),
        (60, 60 - MARGIN),
        (61, MAX_IDLE_TIME),
        (999999, MAX_IDLE_TIME),
    ],
)
def test_how_long_a_connection_is_kept(limit: int | None, kept: float) -> None:
    async def test() -> None:
        pool = new_pool()
        with connection(pool) as made:
            pool.release(made, 100.0, limit)
            pool.sweep(100.0 + kept - NEXT)
            assert pool.idle == 1
            assert not made.channel.closed
            pool.sweep(100.0 + kept)
            assert pool.idle == 0
            assert made.channel.closed

    asyncio.run(test())


@pytest.mark.parametrize("limit", range(1, 62))
def test_it_is_gone_before_the_app_closes_it(limit: int) -> None:
    """The request may have ended right after a sweep or right before the next one: the pool has
    the time of the sweep, and finds out in a sweep."""

    async def test() -> None:
        pool = new_pool()
        with connection(pool) as made:
            sweep, released = 100.0, 100.0 + INTERVAL - NEXT
            pool.release(made, sweep, limit)
            while pool.idle:
                sweep += INTERVAL
                pool.sweep(sweep)
            assert sweep - released <= max(0.5, limit - 0.5)

    asyncio.run(test())


def test_the_last_one_is_not_kept() -> None:
    async def test() -> None:
        pool = new_pool()
        with connection(pool) as made:
            pool.release(made, 0.0, 0)
            assert pool.idle == 0
            assert made.channel.closed

    asyncio.run(test())


def test_each_has_its_own_time() -> None:
    """Also behind one that stays for longer."""

    async def test() -> None:
        pool = new_pool()
        with connection(pool) as long, connection(pool) as short, connection(pool) as last:
            pool.release(long, 0.0)
            pool.release(short, 0.0, 5)
            pool.release(last, 3.0)
            pool.sweep(5.0)
            assert (long.channel.closed, short.channel.closed) == (False, True)
            assert pool.idle == 2
            pool.sweep(MAX_IDLE_TIME)
            assert pool.idle == 1
            assert not last.channel.closed

    asyncio.run(test())
