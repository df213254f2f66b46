"""Connections with TLS go back to the pool only when nothing is on its way in them."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from kssl.config.target import Target, UpstreamTls
from kssl.fastpath.engines.contract import Engine
from kssl.fastpath.net.channel import Channel
from kssl.fastpath.net.poller import Poller
from kssl.proxy.upstream.connection import HEADROOM, VIEW
from kssl.proxy.upstream.pool import Pool
from kssl.proxy.upstream.secure import SecureConnection

TARGET = Target("https", "127.0.0.1", 9, tls=UpstreamTls("localhost"))


class Silent:
    """A socket from which nothing comes."""

    def silent(self) -> bool:
        return True


class Still:
    """An engine that does nothing."""

    def __init__(self, *, at_rest: bool = True) -> None:
        self.at_rest = at_rest
        self.congested = False
        self.backlog = 0
        self.closed = False

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.closed = True


class Releases:
    """An exchange whose answer is whole with the first bytes."""

    def __init__(self, pool: Pool, connection: SecureConnection) -> None:
        self.got = b""
        self._pool, self._connection = pool, connection
        connection.user = cast("Any", self)

    def upstream_received(self, end: int) -> None:
        self.got += bytes(VIEW[HEADROOM:end])
        self._pool.release(self._connection, 0.0)


def made(pool: Pool, engine: Still) -> SecureConnection:
    return SecureConnection(
        cast("Channel", Silent()),
        lambda sink: cast("Engine", engine),
        pool.forget,
        lambda ending: None,
        Poller.of(asyncio.get_running_loop()),
    )


@pytest.mark.parametrize("at_rest", [True, False])
def test_only_what_is_at_rest_is_kept(at_rest: bool) -> None:
    async def test() -> None:
        pool = Pool(asyncio.get_running_loop(), TARGET, 5.0, [])
        engine = Still(at_rest=at_rest)
        connection = made(pool, engine)
        pool.release(connection, 0.0)
        assert engine.closed is not at_rest
        assert pool.take(0) is (connection if at_rest else None)

    asyncio.run(test())


def test_what_is_behind_an_answer_is_for_nobody() -> None:
    """More plaintext than one piece: the answer ends with the first, and the connection with it."""

    async def test() -> None:
        pool = Pool(asyncio.get_running_loop(), TARGET, 5.0, [])
        engine = Still()
        connection = made(pool, engine)
        first = Releases(pool, connection)
        connection.plaintext_received(memoryview(b"a" * 131072 + b"surplus"))
        assert first.got == b"a" * 131072
        assert engine.closed
        assert pool.take(0) is None

    asyncio.run(test())
