"""One request's connection among several upstreams, some of which do not answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

import pytest

from kssl.config.target import Target
from kssl.proxy.upstream.connecting import ATTEMPT_DELAY, Connecting
from kssl.proxy.upstream.group import Group
from kssl.proxy.upstream.lookup import resolve
from kssl.proxy.upstream.pool import Pool
from tests.proxy.upstream.support import Asker, black_hole

LIMIT = 60.0  # of connecting: no test waits for it


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


@contextlib.asynccontextmanager
async def group_of(*targets: Target, seconds: float = LIMIT) -> AsyncIterator[Group]:
    loop = asyncio.get_running_loop()
    pools = [Pool(loop, target, seconds, resolve(target)) for target in targets]
    yield Group(pools)
    for pool in pools:
        pool.close()


@pytest.fixture
def app() -> Iterator[Target]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield Target("http", "127.0.0.1", sock.getsockname()[1])


def nobody() -> Target:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return Target("http", "127.0.0.1", sock.getsockname()[1])


async def ask(group: Group, first: Pool | None = None) -> Asker:
    """One request, as an exchange does it."""
    loop, asker = asyncio.get_running_loop(), Asker()
    group.connect(loop, first or group.next(asker, loop.time()), asker)
    await asyncio.wait_for(asyncio.shield(asker.told), 30)
    told = asker.told.result()
    if not isinstance(told, tuple):
        told.close()
    return asker


def test_a_black_hole_costs_one_request_a_moment(app: Target) -> None:
    """Of a hundred requests one goes there, and that one is answered by the other."""

    async def test() -> None:
        with black_hole() as hole:
            async with group_of(hole, app) as group:
                dead, well = group.pools
                asked = 0
                for _ in range(100):
                    asker = Asker()
                    pool = group.next(asker, asyncio.get_running_loop().time())
                    asked += pool is dead
                    group.connect(asyncio.get_running_loop(), pool, asker)
                    (await asker.connection()).close()
                    assert asker.pool is well
                assert asked == 1
                assert dead.health.failures == 1
                assert isinstance(dead.health.trial, Connecting)  # it goes on without a request

    run(test)


def test_many_at_once(app: Target) -> None:
    """All of them are answered, and one attempt stays behind."""

    async def test() -> None:
        with black_hole() as hole:
            async with group_of(hole, app) as group:
                dead = group.pools[0]
                askers = await asyncio.gather(*(ask(group, dead) for _ in range(50)))
                assert {asker.pool for asker in askers} == {group.pools[1]}
                assert dead.health.failures == 1

    run(test)


def test_a_slow_one_is_found_well_and_its_connection_kept(app: Target) -> None:
    """Its network needs longer than the delay: the trial goes on without a request."""

    async def test() -> None:
        with socket.create_server(("127.0.0.1", 0)) as late:
            slow = Target("http", "127.0.0.1", late.getsockname()[1])
            async with group_of(slow, app) as group:
                loop, by = asyncio.get_running_loop(), Asker()
                pool = group.pools[0]
                attempt = pool.connect(by)
                pool.outrun(attempt, by, 0.25)
                assert pool.health.paused(loop.time())
                async with asyncio.timeout(60):
                    while not pool.idle:  # noqa: ASYNC110 - nothing else tells
                        await asyncio.sleep(0)
                assert not pool.health.failures
                assert not by.told.done()

    run(test)


def test_one_that_refuses_is_left_at_once(app: Target) -> None:
    async def test() -> None:
        async with group_of(nobody(), nobody(), app) as group:
            asker = await ask(group)
            assert asker.pool is group.pools[2]
            assert [pool.health.failures for pool in group.pools] == [1, 1, 0]

    run(test)


def test_a_kept_connection_of_another_is_used(app: Target) -> None:
    async def test() -> None:
        async with group_of(nobody(), app) as group:
            asker = Asker()
            group.pools[1].connect(asker)
            kept = await asker.connection()
            group.pools[1].release(kept, 0.0)
            other = Asker()
            group.connect(asyncio.get_running_loop(), group.pools[0], other)
            assert await other.connection() is kept
            kept.close()

    run(test)


def test_none_is_there() -> None:
    async def test() -> None:
        async with group_of(nobody(), nobody()) as group:
            for _ in range(2):  # paused or not: it is tried, and fails fast
                asker = await ask(group)
                assert asker.told.result() == ("connection refused", False)

    run(test)


def test_two_black_holes() -> None:
    """They are waited for side by side, not one after the other: both began before the limit."""

    async def test() -> None:
        with black_hole() as first, black_hole() as second:
            async with group_of(first, second, seconds=2 * ATTEMPT_DELAY) as group:
                asker = await ask(group)
                limit = f"UpstreamConnectTimeout ({2 * ATTEMPT_DELAY:g} s)"
                what = f"no answer to the connection attempt within {limit}"
                assert asker.told.result() == (what, True)
                assert [pool.health.failures for pool in group.pools] == [1, 1]

    run(test)


def test_cancelled(app: Target) -> None:
    async def test() -> None:
        with black_hole() as hole:
            async with group_of(hole, app) as group:
                loop, asker = asyncio.get_running_loop(), Asker()
                attempt = group.connect(loop, group.pools[0], asker)
                attempt.cancel()
                assert (await ask(group, group.pools[1])).pool is group.pools[1]
                assert not asker.told.done()
                assert not group.pools[0].health.failures

    run(test)
