"""An idle connection is taken only if the app has said nothing on it since its last answer."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from kssl.config.target import Target
from kssl.fastpath.net.channel import SMALL, Channel
from kssl.proxy.upstream.connection import HEADROOM, VIEW, UpstreamConnection
from kssl.proxy.upstream.pool import Pool
from tests.fastpath.harness import until

NOBODY = Target("http", "127.0.0.1", 9)
ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


class User:
    """An exchange."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self.got = b""
        self.ended: list[bool] = []  # with `untouched`
        self.connection = connection
        connection.user = self

    def upstream_received(self, end: int) -> None:
        self.got += bytes(VIEW[HEADROOM:end])

    def upstream_closed(self, error: str | None, *, truncated: bool) -> None:
        self.ended.append(self.connection.untouched)

    def upstream_drained(self) -> None: ...


class World:
    """A pool, and in front of its idle connections a client that the poller tells of first."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.loop = asyncio.get_running_loop()
        self.pool = Pool(self.loop, NOBODY, 5.0, [])
        stack.callback(self.pool.close)
        self.at_client: Callable[[], None] = lambda: None
        self.client, self.client_peer = self._channel()
        self.client.rebind(self._client, lambda: None, lambda error: None)
        self.client.start_reading()

    def _channel(self) -> tuple[Channel, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._stack.enter_context(theirs)
        channel = Channel(self.loop, ours, lambda: None, lambda: None, lambda error: None)
        self._stack.callback(channel.close)
        return channel, theirs

    def _client(self) -> None:
        self.client.recv_into(bytearray(100))
        self.at_client()

    def idle(self) -> tuple[UpstreamConnection, socket.socket]:
        channel, peer = self._channel()
        connection = UpstreamConnection(channel, self.pool.forget)
        self.pool.release(connection, 0.0)
        return connection, peer


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def say(peer: socket.socket, what: str) -> None:
    if what == "bytes":
        peer.send(ANSWER)
    else:
        peer.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize("what", ["bytes", "end"])
def test_outside_a_turn_it_is_looked_at(stack: ExitStack, what: str) -> None:
    async def test() -> None:
        world = World(stack)
        good, _ = world.idle()
        bad = [world.idle() for _ in range(3)]
        for _, peer in bad:
            say(peer, what)
        assert world.pool.take(10) is good
        assert all(connection.channel.closed for connection, _ in bad)
        assert world.pool.take(10) is None

    run(test)


@pytest.mark.parametrize("what", ["bytes", "end"])
@pytest.mark.parametrize("size", [10, SMALL, SMALL + 1])
def test_in_a_turn_that_has_still_to_tell_of_it(stack: ExitStack, what: str, size: int) -> None:
    """The request does not leave, and whoever took it hears why; a large one leaves at once, so
    that must be known before."""

    async def test() -> None:
        world = World(stack)
        connection, peer = world.idle()
        await asyncio.sleep(0)
        users: list[User] = []
        taken: list[UpstreamConnection | None] = []

        def take() -> None:
            found = world.pool.take(size)
            taken.append(found)
            if found is not None:
                users.append(User(found))
                found.channel.send(b"x" * size)

        world.at_client = take
        world.client_peer.send(b"request")
        say(peer, what)
        await until(lambda: connection.channel.closed)
        assert len(taken) == 1
        if size > SMALL:
            assert taken == [None]
        else:
            (user,) = users
            assert (user.got, user.ended) == (b"", [True])
        peer.settimeout(60)
        with suppress(ConnectionResetError):  # what it said is unread
            assert peer.recv(1) == b""

    run(test)


def test_what_comes_after_the_turn_is_the_answer(stack: ExitStack) -> None:
    async def test() -> None:
        world = World(stack)
        connection, peer = world.idle()
        await asyncio.sleep(0)
        users: list[User] = []

        def take() -> None:
            found = world.pool.take(10)
            assert found is connection
            users.append(User(found))
            found.channel.send(b"x" * 10)

        for _ in range(3):
            world.at_client = take
            world.client_peer.send(b"request")
            peer.setblocking(True)
            assert await asyncio.to_thread(peer.recv, 100) == b"x" * 10
            peer.send(ANSWER)
            user = users[-1]
            await until(lambda user=user: user.got == ANSWER)  # type: ignore[misc]
            world.pool.release(connection, 0.0)
        assert not any(user.ended for user in users)

    run(test)


def test_what_was_paused_is_looked_at_also_in_a_turn(stack: ExitStack) -> None:
    """The poller told of it while nothing was read, and will not tell again."""

    async def test() -> None:
        world = World(stack)
        connection, peer = world.idle()
        await asyncio.sleep(0)
        assert world.pool.take(10) is connection
        user = User(connection)
        connection.channel.stop_reading()
        peer.send(ANSWER)
        channel = connection.channel
        assert isinstance(channel, Channel)
        await until(lambda: channel.ready)
        taken: list[UpstreamConnection | None] = []

        def release_and_take() -> None:
            world.pool.release(connection, 0.0)
            taken.append(world.pool.take(10))

        world.at_client = release_and_take
        world.client_peer.send(b"request")
        await until(lambda: taken)
        assert taken == [None]
        assert connection.channel.closed
        assert user.got == b""

    run(test)
