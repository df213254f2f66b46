"""The pool: addresses tried in turn, idle connections kept, bounded and dropped."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest

from kssl.config.target import Target
from kssl.fastpath.net.channel import Channel
from kssl.proxy.upstream.connection import UpstreamConnection
from kssl.proxy.upstream.lookup import resolve
from kssl.proxy.upstream.pool import MAX_IDLE, MAX_IDLE_TIME, Pool
from tests.proxy.upstream.support import Asker, black_hole, full_unix_socket


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


@contextlib.asynccontextmanager
async def pool_for(target: Target, seconds: float = 5) -> AsyncIterator[Pool]:
    pool = Pool(asyncio.get_running_loop(), target, seconds, resolve(target))
    yield pool
    pool.close()


def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def target_of(sock: socket.socket) -> Target:
    return Target("http", "127.0.0.1", sock.getsockname()[1])


def test_connects_and_keeps() -> None:
    async def test() -> None:
        with listener() as server:
            async with pool_for(target_of(server)) as pool:
                assert pool.take(0) is None
                asker = Asker()
                pool.connect(asker)
                connection = await asker.connection()
                pool.release(connection, 0.0)
                assert connection.reused
                assert pool.take(0) is connection
                assert pool.take(0) is None
                connection.close()

    run(test)


@pytest.mark.parametrize(
    ("size", "complete", "how"),
    [(1000, True, "fin"), (1000, False, "reset"), (64 << 20, True, "reset")],
    ids=["whole", "part", "whole, but not sent yet"],
)
def test_how_the_app_sees_the_end_of_a_request(size: int, complete: bool, how: str) -> None:
    """FIN says that this was all; so it must have been."""

    def read(sock: socket.socket) -> str:
        try:
            while sock.recv(1 << 20):
                pass
        except ConnectionResetError:
            return "reset"
        return "fin"

    async def test() -> None:
        with listener() as server:
            async with pool_for(target_of(server)) as pool:
                asker = Asker()
                pool.connect(asker)
                connection = await asker.connection()
                sock, _ = server.accept()
                with sock:
                    sock.settimeout(60)
                    connection.channel.send(bytes(size))
                    assert (connection.channel.backlog > 0) == (size > 1000)
                    connection.let_go(complete=complete)
                    assert await asyncio.to_thread(read, sock) == how

    run(test)


def test_refused() -> None:
    async def test() -> None:
        with listener() as server:
            target = target_of(server)
        async with pool_for(target) as pool:
            asker = Asker()
            pool.connect(asker)
            assert await asker.told == ("connection refused", False)

    run(test)


def test_no_unix_socket(tmp_path: Path) -> None:
    async def test() -> None:
        async with pool_for(Target("http", "localhost", 80, str(tmp_path / "none"))) as pool:
            asker = Asker()
            pool.connect(asker)
            assert await asker.told == ("no such file or directory", False)

    run(test)


def test_a_unix_socket_whose_queue_is_full(tmp_path: Path) -> None:
    """EAGAIN, and no event would ever tell that there is room again (unix(7)): it is tried again
    until there is."""

    async def test() -> None:
        path = str(tmp_path / "app.sock")
        with full_unix_socket(path) as server:
            async with pool_for(Target("http", "localhost", 80, path)) as pool:
                asker = Asker()
                pool.connect(asker)
                for _ in range(3):  # turns in which it would have been refused
                    await asyncio.sleep(0)
                assert not asker.told.done()
                server.accept()[0].close()
                (await asker.connection()).close()

    run(test)


def test_a_unix_socket_whose_queue_stays_full(tmp_path: Path) -> None:
    async def test() -> None:
        path = str(tmp_path / "app.sock")
        with full_unix_socket(path):
            async with pool_for(Target("http", "localhost", 80, path), seconds=0.02) as pool:
                asker = Asker()
                pool.connect(asker)
                what = "no answer to the connection attempt within UpstreamConnectTimeout (0.02 s)"
                assert await asker.told == (what, True)

    run(test)


def test_a_timeout() -> None:
    async def test() -> None:
        with black_hole() as target:
            async with pool_for(target, seconds=0.05) as pool:
                asker = Asker()
                pool.connect(asker)
                what = "no answer to the connection attempt within UpstreamConnectTimeout (0.05 s)"
                assert await asker.told == (what, True)

    run(test)


def test_cancelled() -> None:
    async def test() -> None:
        with listener() as server:
            async with pool_for(target_of(server)) as pool:
                asker, other = Asker(), Asker()
                pool.connect(asker).cancel()
                pool.connect(other)
                (await other.connection()).close()
                assert not asker.told.done()

    run(test)


@pytest.mark.parametrize("how", ["refuses", "is a black hole"])
def test_the_next_address_is_tried_and_then_preferred(how: str) -> None:
    """A slow one is not waited for until the time limit, of a minute here."""

    async def test() -> None:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(listener())
            if how == "refuses":
                closed = stack.enter_context(listener())
                first = target_of(closed)
                closed.close()
            else:
                first = stack.enter_context(black_hole())
            dead, live = resolve(first)[0], resolve(target_of(server))[0]
            async with pool_for(target_of(server), seconds=60) as pool:
                pool.move([dead, live])
                for _ in range(2):
                    asker = Asker()
                    pool.connect(asker)
                    (await asker.connection()).close()
                    assert pool.addresses == [live, dead]

    run(test)


@pytest.mark.parametrize("order", [1, -1])
def test_the_reason_is_the_app_s(order: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without IPv6 has half of localhost, which is no reason for anybody."""
    real = socket.socket

    def without_ipv6(family: int, kind: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "refused by the test")
        return real(family, kind)

    async def test() -> None:
        with listener() as server:
            port = server.getsockname()[1]
        target = Target("http", "localhost", port)
        async with pool_for(target) as pool:
            pool.move([])
            pool.move(resolve(target)[::order])
            with monkeypatch.context() as patch:
                patch.setattr("kssl.proxy.upstream.dial.socket.socket", without_ipv6)
                asker = Asker()
                pool.connect(asker)
                assert await asker.told == ("connection refused", False)

    run(test)


def test_no_address() -> None:
    async def test() -> None:
        asked: list[None] = []
        pool = Pool(
            asyncio.get_running_loop(), NOBODY, 5, [], unreachable=lambda: asked.append(None)
        )
        pool.move([], unknown="no such name")
        asker = Asker()
        pool.connect(asker)
        assert await asker.told == ("no such name", False)
        assert len(asked) == 1  # it is to be looked up again

    run(test)


@contextlib.asynccontextmanager
async def idle(pool: Pool, count: int) -> AsyncIterator[list[socket.socket]]:
    """``count`` idle connections, idle since 0, 1, 2 …; the upstream's ends."""
    with contextlib.ExitStack() as stack:
        ends = []
        for i in range(count):
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            ends.append(stack.enter_context(theirs))
            channel = Channel(
                asyncio.get_running_loop(), ours, lambda: None, lambda: None, lambda error: None
            )
            pool.release(UpstreamConnection(channel, pool.forget), float(i))
        yield ends


NOBODY = Target("http", "127.0.0.1", 9)


def test_idle_ones_are_swept_and_bounded() -> None:
    async def test() -> None:
        async with pool_for(NOBODY) as pool, idle(pool, MAX_IDLE + 10):
            assert len(pool._idle) == MAX_IDLE
            pool.sweep(MAX_IDLE_TIME + 9.5)
            assert len(pool._idle) == MAX_IDLE - 10
            pool.sweep(10 * MAX_IDLE_TIME + MAX_IDLE)
            assert not pool._idle

    run(test)


@pytest.mark.parametrize("what", ["end", "bytes"])
def test_an_idle_one_that_is_no_longer_good(what: str) -> None:
    """The end, or an answer that nobody asked for."""

    async def test() -> None:
        async with pool_for(NOBODY) as pool, idle(pool, 2) as ends:
            if what == "end":
                ends[1].close()
            else:
                ends[1].sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            async with asyncio.timeout(60):
                while len(pool._idle) > 1:  # noqa: ASYNC110 - nothing else tells
                    await asyncio.sleep(0)
            left = pool.take(0)
            assert left is not None
            assert left.idle_until == MAX_IDLE_TIME
            left.close()

    run(test)


def test_one_with_a_backlog_is_not_kept() -> None:
    """It answered before it had read the whole request."""

    async def test() -> None:
        async with pool_for(NOBODY) as pool, idle(pool, 1):
            connection = pool.take(0)
            assert connection is not None
            connection.channel.send(b"x" * (8 << 20))
            assert connection.channel.backlog
            pool.release(connection, 0.0)
            assert connection.channel.closed
            assert pool.take(0) is None

    run(test)


def test_connections_to_an_address_that_is_gone() -> None:
    """Idle ones end at once, those in use when they are released; others stay."""

    async def test() -> None:
        with listener() as a, listener() as b:
            first, second = resolve(target_of(a))[0], resolve(target_of(b))[0]
            async with pool_for(target_of(a)) as pool:
                kept = []
                for address in (first, first, second):
                    pool.move([address, *(each for each in (first, second) if each != address)])
                    pool._places.sort(key=lambda place, address=address: place.address != address)  # type: ignore[misc]
                    asker = Asker()
                    pool.connect(asker)
                    kept.append(await asker.connection())
                idle, busy, other = kept
                pool.release(idle, 0.0)
                pool.release(other, 0.0)
                pool.move([second])
                assert [each.channel.closed for each in kept] == [True, False, False]
                pool.release(busy, 0.0)
                assert [each.channel.closed for each in kept] == [True, True, False]
                assert pool.take() is other
                other.close()

    run(test)


def test_the_same_addresses_in_another_order_change_nothing() -> None:
    async def test() -> None:
        first, second = resolve(Target("http", "localhost", 80))
        async with pool_for(Target("http", "localhost", 80)) as pool, idle(pool, 1):
            pool.move([second, first])
            assert pool.addresses == [first, second]
            assert pool.idle == 1

    run(test)
