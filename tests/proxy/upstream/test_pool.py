"""The pool: addresses tried in turn, idle connections kept, bounded and dropped."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.target import Target
from fastpath.channel import Channel
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.pool import MAX_IDLE, MAX_IDLE_TIME, Pool, resolve


class Asker:
    """A Connector that keeps what it is told."""

    def __init__(self) -> None:
        self.told: asyncio.Future[UpstreamConnection | tuple[str, bool]] = (
            asyncio.get_running_loop().create_future()
        )

    def upstream_connected(self, connection: UpstreamConnection) -> None:
        self.told.set_result(connection)

    def upstream_refused(self, reason: str, *, timed_out: bool) -> None:
        self.told.set_result((reason, timed_out))

    async def connection(self) -> UpstreamConnection:
        told = await asyncio.wait_for(self.told, 60)
        assert isinstance(told, UpstreamConnection), told
        return told


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


@contextlib.asynccontextmanager
async def pool_for(target: Target, seconds: float = 5) -> AsyncIterator[Pool]:
    pool = Pool(asyncio.get_running_loop(), target, seconds)
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
                assert pool.take() is None
                asker = Asker()
                pool.connect(asker)
                connection = await asker.connection()
                pool.release(connection, 0.0)
                assert connection.reused
                assert pool.take() is connection
                assert pool.take() is None
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
    """EAGAIN, and no event would ever tell that there is room again (unix(7))."""

    async def test() -> None:
        path = str(tmp_path / "app.sock")
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(path)
            server.listen(0)
            for _ in range(2):
                filler = stack.enter_context(socket.socket(socket.AF_UNIX))
                filler.setblocking(False)
                filler.connect_ex(path)
            async with pool_for(Target("http", "localhost", 80, path)) as pool:
                asker = Asker()
                pool.connect(asker)
                assert await asker.told == ("connection refused", False)

    run(test)


def test_a_timeout() -> None:
    async def test() -> None:
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(server.getsockname())
            async with pool_for(target_of(server), seconds=0.05) as pool:
                asker = Asker()
                pool.connect(asker)
                told = await asker.told
                assert told == ("no answer to the connection attempt", True)

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


def test_the_next_address_is_tried_and_then_preferred() -> None:
    async def test() -> None:
        with listener() as closed, listener() as server:
            dead = (socket.AF_INET, closed.getsockname())
            live = (socket.AF_INET, server.getsockname())
            closed.close()
            async with pool_for(target_of(server)) as pool:
                pool._addresses = [dead, live]
                for _ in range(2):
                    asker = Asker()
                    pool.connect(asker)
                    (await asker.connection()).close()
                    assert pool._addresses == [live, dead]

    run(test)


def test_resolve() -> None:
    assert resolve(Target("http", "127.0.0.1", 80)) == [(socket.AF_INET, ("127.0.0.1", 80))]
    assert resolve(Target("http", "localhost", 80, "/x")) == [(socket.AF_UNIX, "/x")]
    with pytest.raises(ConfigError, match=r"no\.invalid"):
        resolve(Target("http", "no.invalid", 80))


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
            left = pool.take()
            assert left is not None
            assert left.idle_since == 0.0
            left.close()

    run(test)


def test_one_with_a_backlog_is_not_kept() -> None:
    """It answered before it had read the whole request."""

    async def test() -> None:
        async with pool_for(NOBODY) as pool, idle(pool, 1):
            connection = pool.take()
            assert connection is not None
            connection.channel.send(b"x" * (8 << 20))
            assert connection.channel.backlog
            pool.release(connection, 0.0)
            assert connection.channel.closed
            assert pool.take() is None

    run(test)
