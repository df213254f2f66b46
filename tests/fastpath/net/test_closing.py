"""`GracefulClose`: everything arrives, FIN is waited for, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kssl.fastpath.net import closing
from kssl.fastpath.net.channel import Channel
from kssl.fastpath.net.closing import Ending, GracefulClose
from tests.fastpath.harness import tcp_pair, until

pytestmark = pytest.mark.asyncio

DATA = bytes(range(256)) * 4000


class Ends:
    def __init__(self, buffers: int | None) -> None:
        self.loop = asyncio.get_running_loop()
        sock, self.peer = tcp_pair(buffers=buffers)
        self.channel = Channel(self.loop, sock, lambda: None, lambda: None, lambda error: None)
        self.endings: list[Ending] = []

    def close(self, *, peer_done: bool = False) -> None:
        GracefulClose(self.loop, self.channel, self._done, peer_done=peer_done)

    @property
    def done(self) -> int:
        return len(self.endings)

    def _done(self, ending: Ending) -> None:
        self.endings.append(ending)
        assert self.channel.closed

    async def peer_reads_to_the_end(self) -> bytes:
        data = bytearray()
        while more := await self.loop.sock_recv(self.peer, 1 << 16):
            data += more
        return bytes(data)


Make = Callable[..., Ends]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Ends] = []

    def new(buffers: int | None = None) -> Ends:
        made.append(Ends(buffers))
        return made[-1]

    yield new
    for ends in made:
        ends.channel.close()
        ends.peer.close()


async def test_it_sends_the_backlog_and_fin_and_waits_for_fin(make: Make) -> None:
    ends = make(16 * 1024)
    ends.channel.start_reading()
    ends.channel.send(DATA)
    ends.close()
    assert await ends.peer_reads_to_the_end() == DATA
    assert ends.done == 0
    ends.peer.close()
    await until(lambda: ends.done)
    assert ends.done == 1


async def test_it_drops_what_the_peer_still_sends(make: Make) -> None:
    ends = make()
    ends.channel.send(b"reply")
    ends.close()
    for _ in range(20):
        await ends.loop.sock_sendall(ends.peer, DATA[:100_000])
    ends.peer.shutdown(socket.SHUT_WR)
    assert await ends.peer_reads_to_the_end() == b"reply"
    await until(lambda: ends.done)


async def test_a_peer_that_reads_only_when_it_has_written_all(make: Make) -> None:
    ends = make(16 * 1024)
    ends.channel.send(DATA)
    ends.close()
    await ends.loop.sock_sendall(ends.peer, DATA * 3)
    assert ends.channel.backlog
    assert await ends.peer_reads_to_the_end() == DATA
    assert ends.done == 0
    ends.peer.shutdown(socket.SHUT_WR)
    await until(lambda: ends.done)


async def test_a_fin_before_the_backlog_is_sent(make: Make) -> None:
    ends = make(16 * 1024)
    ends.channel.send(DATA)
    ends.close()
    ends.peer.shutdown(socket.SHUT_WR)
    await until(lambda: not ends.channel._reading)
    assert ends.done == 0
    assert await ends.peer_reads_to_the_end() == DATA
    await until(lambda: ends.done)


async def test_too_much_before_the_backlog_is_sent(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not read, but our last bytes still arrive."""
    monkeypatch.setattr(closing, "LINGER_BYTES", 10_000)
    ends = make(16 * 1024)
    ends.channel.send(DATA)
    ends.close()
    sending = asyncio.ensure_future(ends.loop.sock_sendall(ends.peer, DATA))
    await until(lambda: not ends.channel._reading)
    data = b""
    while ends.channel.backlog:
        data += await ends.loop.sock_recv(ends.peer, 1 << 14)
    assert not sending.done()
    with contextlib.suppress(ConnectionError):  # then it is over its limit again
        await sending
    assert DATA.startswith(data)
    await until(lambda: ends.done)
    assert ends.done == 1


async def test_it_gives_up_after_linger(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "LINGER", 0.02)
    ends = make()
    ends.close()
    await until(lambda: ends.done)
    assert await ends.peer_reads_to_the_end() == b""


class Timers:
    """In place of a loop whose timers the test calls."""

    def __init__(self) -> None:
        self.set: list[Callable[[], None]] = []

    def call_later(
        self, delay: float, callback: Callable[..., None], *args: object
    ) -> asyncio.TimerHandle:
        assert delay == closing.LINGER
        self.set.append(lambda: callback(*args))
        return asyncio.get_running_loop().call_later(1000, lambda: None)


@pytest.mark.parametrize("silent_after", [0, 2, closing.LINGER_AGAIN + 1])
async def test_it_waits_on_while_the_peer_sends(make: Make, silent_after: int) -> None:
    """A peer that reads only when it has written all gets the answer; but not for ever."""
    ends, timers = make(), Timers()
    graceful = GracefulClose(cast("asyncio.AbstractEventLoop", timers), ends.channel, ends._done)
    for count in range(1, min(silent_after, closing.LINGER_AGAIN) + 1):
        await ends.loop.sock_sendall(ends.peer, b"x")
        await until(lambda count=count: graceful._discarded == count)  # type: ignore[misc]
        timers.set[-1]()
        assert not ends.done
        assert len(timers.set) == count + 1
    if silent_after > closing.LINGER_AGAIN:
        await ends.loop.sock_sendall(ends.peer, b"x")
        await until(lambda: graceful._discarded == silent_after)
    timers.set[-1]()
    assert ends.done == 1


async def test_it_drops_no_more_than_its_limit(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "LINGER_BYTES", 100_000)
    ends = make(16 * 1024)
    ends.close()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        await ends.loop.sock_sendall(ends.peer, DATA * 2)
    assert ends.done == 1


async def test_a_peer_that_is_done_is_not_waited_for(make: Make) -> None:
    ends = make(16 * 1024)
    ends.channel.send(DATA)
    ends.close(peer_done=True)
    assert await ends.peer_reads_to_the_end() == DATA
    await until(lambda: ends.done)
    assert ends.done == 1


async def test_a_peer_that_stands_still_is_aborted(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "DRAIN_STALL", 0.05)
    ends = make(16 * 1024)
    ends.channel.send(DATA)
    ends.close()
    await until(lambda: ends.done)
    with pytest.raises(ConnectionResetError):
        await ends.peer_reads_to_the_end()


async def test_a_slow_peer_is_not(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes a little between any two looks at its progress, and several looks in all."""
    looks: list[int] = []
    original = Channel.outstanding

    def counted(self: Channel) -> int:
        looks.append(original(self))
        return looks[-1]

    monkeypatch.setattr(Channel, "outstanding", counted)
    monkeypatch.setattr(closing, "DRAIN_STALL", 0.1)
    ends = make(16 * 1024)
    ends.channel.send(DATA)
    ends.close()
    data = bytearray()
    for number in range(1, 5):
        while ends.channel.backlog and original(ends.channel) >= looks[-1]:
            data += await ends.loop.sock_recv(ends.peer, 4096)
        await until(lambda number=number: len(looks) > number)  # type: ignore[misc]
        assert ends.done == 0
    assert bytes(data) + await ends.peer_reads_to_the_end() == DATA


async def test_a_peer_that_breaks(make: Make) -> None:
    ends = make(16 * 1024)
    ends.channel.send(DATA)
    ends.close()
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.peer.close()
    await until(lambda: ends.done)
    assert ends.done == 1


@pytest.mark.parametrize("how", ["closed", "broken"])
async def test_a_channel_that_is_over_already(make: Make, how: str) -> None:
    ends = make()
    if how == "closed":
        ends.channel.close()
    else:
        ends.channel.broken = True
    ends.close()
    assert ends.done == 1


async def test_a_small_end_behind_a_full_socket(make: Make) -> None:
    """What waits for the end of the turn, such as close_notify, must not miss FIN."""
    ends = make(16 * 1024)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += ends.channel.sock.send(DATA[: 1 << 14])
    ends.channel.send(b"close_notify")
    ends.close()
    data = await ends.peer_reads_to_the_end()
    assert len(data) == sent + 12
    assert data.endswith(b"close_notify")


class _Clock:
    """A loop whose time passes when somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[tuple[float, Callable[..., None], tuple[object, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[..., None], *args: object) -> Any:
        self.waits.append((self.now + delay, call, args))
        return SimpleNamespace(cancel=lambda: None)


class _Stuck:
    """A channel whose peer takes nothing."""

    closed = broken = False
    backlog = 1

    def outstanding(self) -> int:
        return 1

    def abort(self) -> None:
        self.closed = True

    def close(self) -> None: ...
    def flush(self) -> None: ...
    def start_reading(self) -> None: ...
    def stop_reading(self) -> None: ...
    def rebind(self, *calls: object) -> None: ...


async def test_a_peer_that_stands_still_has_its_time_once() -> None:
    clock, channel = _Clock(), _Stuck()
    endings: list[Ending] = []
    GracefulClose(cast("Any", clock), cast("Any", channel), endings.append)
    while not endings:
        clock.now, call, args = clock.waits.pop(0)
        call(*args)
    assert closing.DRAIN_STALL <= clock.now <= closing.DRAIN_STALL * 1.1
    assert channel.closed
