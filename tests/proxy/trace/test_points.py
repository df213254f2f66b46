"""The points are there, and nobody pays for them but a traced process."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from importlib import import_module

import pytest

from kssl.fastpath.net.channel import Channel
from kssl.proxy.trace.points import COUNTED, TRACED, Point
from kssl.proxy.trace.recorder import Event
from kssl.proxy.trace.watch import Watch

POINTS = sorted({*COUNTED, *(p for those in TRACED.values() for p in those)}, key=lambda p: p.place)


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.place)
def test_the_point_exists(point: Point) -> None:
    module, _, name = point.place.partition(":")
    owner_name, _, method = name.partition(".")
    assert callable(getattr(getattr(import_module(module), owner_name), method))
    assert callable(getattr(Watch, point.wrapper))


def test_without_a_trace_nothing_of_it_is_loaded() -> None:
    code = (
        "import sys, kssl.proxy.cli, kssl.proxy.service.service, kssl.fastpath.worker.process\n"
        "kssl.proxy.cli.build_parser()\n"
        "print([name for name in sys.modules if name.startswith('kssl.proxy.trace')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_a_point_that_is_gone_is_an_error() -> None:
    """In a process of its own, because what is installed stays."""
    code = (
        "from kssl.proxy.trace.points import Point, install\n"
        "from kssl.proxy.trace.watch import Watch\n"
        "install(Watch(print), [Point('kssl.fastpath.net.channel:Channel.gone', 'channel_recv')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 1
    assert "has no attribute 'gone'" in found.stderr


@pytest.mark.asyncio
async def test_what_the_kernel_took_is_what_is_counted() -> None:
    """A send that is taken in part, what follows it, and the rest when there is room."""
    events: list[Event] = []
    watch = Watch(events.append)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        watch.link_made(lambda *_: None)(None, None, ours)
        channel = Channel(
            asyncio.get_running_loop(), ours, lambda: None, lambda: None, lambda error: None
        )
        watch.channel_send(Channel._send_now)(channel, bytes(4_000_000))
        taken = 4_000_000 - channel.backlog
        assert 0 < taken < 4_000_000
        watch.channel_send_parts(Channel.send_parts)(channel, b"ab", b"cd")  # only queued
        assert [(event.what, event.peer, event.size) for event in events] == [
            ("send", "link", taken)
        ]
        left = channel.backlog
        assert left == 4_000_004 - taken
        assert len(theirs.recv(100_000)) == 100_000
        watch.channel_drain(Channel._on_writable)(channel)
        assert events[1].what == "drain"
        assert events[1].size == left - channel.backlog > 0
        channel.close()


@pytest.mark.asyncio
async def test_what_is_sent_behind_a_backlog_is_not_taken_for_it() -> None:
    """`on_drained` writes on at once, and the kernel refuses some of that too."""
    events: list[Event] = []
    watch = Watch(events.append)
    send = watch.channel_send(Channel._send_now)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        channel = Channel(
            asyncio.get_running_loop(),
            ours,
            lambda: None,
            lambda: send(channel, bytes(4_000_000)),
            lambda error: None,
        )
        send(channel, bytes(1_000_000))
        while len([event for event in events if event.what == "send"]) < 2:
            theirs.recv(1 << 20)
            watch.channel_drain(Channel._on_writable)(channel)
        assert events[-1].what == "drain"
        second = events[-2]
        assert second.what == "send"
        assert second.size == 4_000_000 - channel.backlog < 4_000_000
        assert sum(event.size for event in events if event is not second) == 1_000_000
        channel.close()


@pytest.mark.asyncio
async def test_parts_are_one_send() -> None:
    events: list[Event] = []
    watch = Watch(events.append)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        channel = Channel(
            asyncio.get_running_loop(), ours, lambda: None, lambda: None, lambda error: None
        )
        watch.channel_send_parts(Channel.send_parts)(channel, b"ab", b"cde")
        assert theirs.recv(100) == b"abcde"
        assert [(event.what, event.size) for event in events] == [("send", 5)]
        with pytest.raises(BlockingIOError):
            watch.channel_recv(Channel.recv_into)(channel, bytearray(10))
        theirs.send(b"xyz")
        assert watch.channel_recv(Channel.recv_into)(channel, bytearray(10)) == 3
        assert [(event.what, event.size) for event in events[1:]] == [("recv", 0), ("recv", 3)]
        channel.close()
