"""`Poller`: who begins goes before those who go on, and they share one limit."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
import uvloop

from kssl.fastpath.net import poller as module
from kssl.fastpath.net.channel import Channel
from kssl.fastpath.net.poller import Poller
from tests.fastpath.harness import tcp_pair, until


class Busy:
    """Has more to do whenever it is called."""

    def __init__(self) -> None:
        self.calls = 0
        self.stop = False

    def read_on(self) -> None:
        self.calls += 1
        if not self.stop:
            Poller.of(asyncio.get_running_loop()).again(self)

    def crashed(self) -> None:
        raise AssertionError("it did not")


class Reader:
    """A channel whose owner needs several goes for what it has read."""

    def __init__(self, goes: int = 1) -> None:
        sock, self.peer = tcp_pair()
        self.left = self.goes = goes
        self.data = b""
        self.looked = 0
        self.channel = Channel(
            asyncio.get_running_loop(), sock, self.read, lambda: None, lambda error: None
        )
        self.channel.start_reading()

    def read(self) -> None:
        self.looked += 1
        if self.left == self.goes or not self.left:
            buffer = bytearray(1000)
            with contextlib.suppress(BlockingIOError):
                self.data += buffer[: self.channel.recv_into(buffer)]
        if self.left:
            self.left -= 1
            self.channel.read_again()

    def close(self) -> None:
        self.channel.close()
        self.peer.close()


def test_the_new_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE", 0.0)  # one of them each turn

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, others = Reader(), [Busy() for _ in range(100)]
        for busy in others:
            Poller.of(loop).again(busy)
        await asyncio.sleep(0)
        before = sum(busy.calls for busy in others)
        reader.peer.send(b"new")
        turns = 0
        while not reader.data:
            await asyncio.sleep(0)
            turns += 1
        assert sum(busy.calls for busy in others) - before <= 2 * turns
        assert turns < 20
        await until(lambda: min(busy.calls for busy in others) >= 3)
        calls = [busy.calls for busy in others]
        assert max(calls) - min(calls) <= 1  # in order
        for busy in others:
            busy.stop = True
        await until(lambda: not Poller.of(loop)._again)
        reader.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_edges_give_no_second_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for another go gets it in its turn, whatever comes meanwhile."""
    monkeypatch.setattr(module, "LATE", 0.0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        reader, others = Reader(goes=100), [Busy() for _ in range(20)]
        for busy in others:
            Poller.of(loop).again(busy)
        while reader.looked < 10:
            reader.peer.send(b"x")  # an edge
            await asyncio.sleep(0)
        # All that had asked before it were called in between.
        assert min(busy.calls for busy in others) >= 8
        for busy in others:
            busy.stop = True
        await until(lambda: not Poller.of(loop)._again)
        reader.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_what_is_given_back_is_read_again() -> None:
    async def main() -> None:
        got: list[bytes] = []
        sock, peer = tcp_pair()
        buffer = bytearray(4)

        def read() -> None:
            try:
                size = channel.recv_into(buffer)
            except BlockingIOError:
                return
            got.append(bytes(buffer[:size]))
            if got == [b"abcd"]:
                channel.unread(b"cd")
            if not size:
                channel.stop_reading()

        channel = Channel(asyncio.get_running_loop(), sock, read, lambda: None, lambda error: None)
        peer.send(b"abcdef")
        peer.close()
        channel.start_reading()
        await until(lambda: got and not got[-1])
        assert got == [b"abcd", b"cd", b"ef", b""]
        channel.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def test_what_is_given_back_is_held() -> None:
    async def main() -> None:
        sock, peer = tcp_pair()
        loop = asyncio.get_running_loop()
        channel = Channel(loop, sock, lambda: None, lambda: None, lambda error: None)
        channel.unread(b"x" * 100)
        assert (channel.backlog, channel.held) == (0, 100)
        channel.close()
        assert channel.held == 0
        peer.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
