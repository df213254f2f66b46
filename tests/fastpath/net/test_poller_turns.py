"""What a turn tells of itself, and how a channel looks for what no turn has told of yet."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator

import pytest

from kssl.fastpath.net.channel import SMALL, Channel
from kssl.fastpath.net.poller import Poller
from tests.fastpath.harness import tcp_pair, until

pytestmark = pytest.mark.asyncio

_RESET = struct.pack("ii", 1, 0)


def nothing() -> None: ...


def no_error(error: OSError) -> None: ...


class Ends:
    """Channels, and their peers."""

    def __init__(self) -> None:
        self.stack = contextlib.ExitStack()

    def pair(self, read: Callable[[Channel], None] | None = None) -> tuple[Channel, socket.socket]:
        sock, peer = tcp_pair()
        channel = Channel(asyncio.get_running_loop(), sock, nothing, nothing, no_error)
        if read is not None:
            channel.rebind(lambda: read(channel), nothing, no_error)
        self.stack.callback(channel.close)
        self.stack.enter_context(peer)
        return channel, peer


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    with made.stack:
        yield made


@pytest.mark.parametrize(("number", "all_told"), [(63, True), (64, False), (100, False)])
async def test_whether_a_turn_tells_all(ends: Ends, number: int, all_told: bool) -> None:
    poller = Poller.of(asyncio.get_running_loop())
    seen: list[tuple[int, bool]] = []

    def read(channel: Channel) -> None:
        channel.recv_into(bytearray(8))
        seen.append((poller.turn, poller.all_told))

    pairs = [ends.pair(read) for _ in range(number)]
    for channel, _ in pairs:
        channel.start_reading()
    await until(lambda: not Poller.of(asyncio.get_running_loop())._epoll.poll(0))  # room to write
    for _, peer in pairs:
        peer.send(b"x")
    assert not poller.all_told
    await until(lambda: len(seen) == number)
    assert not poller.all_told
    first = [told for turn, told in seen if turn == seen[0][0]]
    assert first == [all_told] * min(number, 64)
    assert (len({turn for turn, _ in seen}) == 1) == (number <= 64)


async def test_what_is_read_on_has_not_been_told(ends: Ends) -> None:
    """It comes before the poller has asked, so what happened meanwhile is not known."""
    poller = Poller.of(asyncio.get_running_loop())
    seen: list[bool] = []

    def read(channel: Channel) -> None:
        seen.append(poller.all_told)
        assert channel.ready
        channel.recv_into(bytearray(4))

    channel, peer = ends.pair(read)
    peer.send(b"x" * 10)
    channel.start_reading()
    await until(lambda: not channel.ready and len(seen) == 3)
    assert seen == [True, False, False]


@pytest.mark.parametrize("what", ["bytes", "urgent", "fin", "reset", "closed"])
async def test_silent(ends: Ends, what: str) -> None:
    channel, peer = ends.pair()
    assert channel.silent()
    if what == "bytes":
        peer.send(b"x")
    elif what == "urgent":
        peer.send(b"xy", socket.MSG_OOB)
    elif what == "fin":
        peer.shutdown(socket.SHUT_WR)
    elif what == "reset":
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        peer.close()
    else:
        channel.close()
    assert not channel.silent()


async def test_what_is_dropped_is_not_sent(ends: Ends) -> None:
    channel, peer = ends.pair()
    channel.send(b"dropped" * (SMALL // 8))
    channel.drop_queued()
    channel.send(b"sent")
    await asyncio.sleep(0)
    channel.close()
    peer.setblocking(True)
    peer.settimeout(60)
    assert peer.recv(SMALL) == b"sent"
    assert peer.recv(1) == b""
