"""Host names of upstreams over a resolver that answers when it is told to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine

from kssl.config.target import Target
from kssl.proxy.upstream.lookup import Found, LookupFailedError
from kssl.proxy.upstream.names import MOST, Names


class Resolver:
    """Answers once `free` is set; keeps what it was asked."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.asked: list[str] = []
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, host: str) -> Found:
        with self._lock:
            self.asked.append(host)
            self._now += 1
            self.most = max(self.most, self._now)
        assert self.free.wait(60)
        with self._lock:
            self._now -= 1
        if host.startswith("no"):
            raise LookupFailedError("no such name", unknown=True)
        if host.startswith("bug"):
            raise ZeroDivisionError
        return Found(("192.0.2.1",), 60.0)


def run(test: Callable[[Names, Resolver], Coroutine[None, None, None]]) -> None:
    async def body() -> None:
        resolver = Resolver()
        try:
            await test(Names(asyncio.get_running_loop(), resolver), resolver)
        finally:
            resolver.free.set()

    asyncio.run(body())


def target(host: str) -> Target:
    return Target("http", host, 80)


def test_a_start_is_not_held_up() -> None:
    async def test(names: Names, resolver: Resolver) -> None:
        (line,) = await names.watch([target("a.test")], patience=0.01)
        assert "not been looked up yet" in line
        assert names.addresses(target("a.test")) == []
        resolver.free.set()
        assert await names.watch([target("a.test")], patience=30) == []
        assert len(names.addresses(target("a.test"))) == 1
        assert resolver.asked == ["a.test"]

    run(test)


def test_what_needs_no_look_up() -> None:
    async def test(names: Names, resolver: Resolver) -> None:
        targets = [target("localhost"), target("192.0.2.7"), Target("http", "localhost", 80, "/x")]
        assert await names.watch(targets, patience=30) == []
        assert [len(names.addresses(each)) for each in targets] == [2, 1, 1]
        assert resolver.asked == []

    run(test)


def test_failures_are_told_apart() -> None:
    async def test(names: Names, resolver: Resolver) -> None:
        resolver.free.set()
        lines = await names.watch([target("no.test"), target("bug.test")], patience=30)
        assert "'no.test' cannot be looked up: no such name" in lines[0]
        assert "internal error" in lines[1]
        assert "no such name" in names.unknown(target("no.test"))

    run(test)


def test_few_at_a_time_and_all_in_the_end() -> None:
    async def test(names: Names, resolver: Resolver) -> None:
        targets = [target(f"{number}.test") for number in range(3 * MOST)]
        assert len(await names.watch(targets, patience=0.01)) == len(targets)
        resolver.free.set()
        assert await names.watch(targets, patience=30) == []
        assert resolver.most <= MOST
        assert sorted(resolver.asked) == sorted(each.host for each in targets)

    run(test)


def test_what_nobody_needs_is_forgotten() -> None:
    async def test(names: Names, resolver: Resolver) -> None:
        changed: list[str] = []
        names.changed = changed.append
        resolver.free.set()
        await names.watch([target("a.test"), target("b.test")], patience=30)
        names.keep([target("b.test")])
        assert names.addresses(target("a.test")) == []
        names.doubt("a.test")  # by a pool that is about to go
        assert sorted(changed) == ["a.test", "b.test"]

    run(test)
