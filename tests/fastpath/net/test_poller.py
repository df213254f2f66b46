"""`Poller` on the loop that the front end uses, and on asyncio's own."""

from __future__ import annotations

import asyncio
import gc
import os
import select
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any
from weakref import ref

import pytest
import uvloop

from kssl.fastpath.net.channel import Channel
from kssl.fastpath.net.poller import Poller
from tests.fastpath.harness import tcp_pair, until

NewLoop = Callable[[], asyncio.AbstractEventLoop]
Run = Callable[[Coroutine[Any, Any, None]], None]

_RESET = struct.pack("ii", 1, 0)


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def new_loop(request: pytest.FixtureRequest) -> NewLoop:
    made: NewLoop = request.param
    return made


@pytest.fixture
def run(new_loop: NewLoop) -> Iterator[Run]:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        yield runner.run


class Reader:
    """Reads from one end of a pair of sockets, ``size`` bytes each time."""

    def __init__(
        self, size: int = 100, pair: tuple[socket.socket, socket.socket] | None = None
    ) -> None:
        sock, self.peer = pair or tcp_pair()
        self.buffer = bytearray(size)
        self.data = bytearray()
        self.looked = 0  # calls
        self.ends: list[int | str] = []  # 0, or the error
        self.then: Callable[[], None] = lambda: None
        self.channel = Channel(
            asyncio.get_running_loop(), sock, self.read, lambda: None, lambda error: None
        )

    def read(self) -> None:
        self.looked += 1
        try:
            size = self.channel.recv_into(self.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self.ends.append(type(error).__name__)
            self.channel.stop_reading()
            return
        self.data += self.buffer[:size]
        if not size:
            self.ends.append(0)
            self.channel.stop_reading()
        self.then()

    def refill(self) -> None:
        """From now on there is always more to read, and after each read a new edge."""

        def send() -> None:
            self.peer.send(bytes(2 * len(self.buffer)))

        self.then = send

    def reset(self) -> None:
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.peer.close()

    def close(self) -> None:
        self.channel.close()
        self.peer.close()


def poller() -> Poller:
    return Poller.of(asyncio.get_running_loop())


def at_rest() -> bool:
    """The loop has nothing to do for the poller: no descriptor of its is ready."""
    ours = poller()
    return not ours._again and not select.select([ours._epoll], [], [], 0)[0]


class Asker:
    """Never has enough."""

    def __init__(self, limit: int) -> None:
        self.reads = 0
        self.limit = limit

    def happened(self, events: int) -> None:
        raise AssertionError("it watches nothing")

    def crashed(self) -> None:
        raise AssertionError("it did not")

    def read_on(self) -> None:
        self.reads += 1
        if self.reads < self.limit:
            poller().again(self)
            poller().again(self)


# -- fair shares ---------------------------------------------------------------------------


def test_who_asks_twice_is_read_once(run: Run) -> None:
    async def main() -> None:
        asker = Asker(limit=1000)
        poller().again(asker)
        for turn in range(20):
            await asyncio.sleep(0)
            assert asker.reads <= turn + 1
        assert asker.reads
        asker.limit = 0
        await until(at_rest)

    run(main())


def test_a_fast_sender_gets_no_larger_share_with_time(run: Run) -> None:
    """It fills each read and makes a new edge in between, so both ways of reading on are asked."""

    async def main() -> None:
        fast = Reader(size=64)
        fast.refill()
        fast.channel.start_reading()
        fast.peer.send(bytes(10_000))
        before = most = 0
        for _ in range(300):
            await asyncio.sleep(0)
            before, most = fast.looked, max(most, fast.looked - before)
            assert not fast.ends
        assert fast.looked > 250  # about once a turn
        assert most <= 4
        fast.close()

    run(main())


def test_timers_and_others_get_their_turn(run: Run) -> None:
    async def main() -> None:
        fast, slow = Reader(size=64), Reader()
        fast.refill()
        for reader in (fast, slow):
            reader.channel.start_reading()
        fast.peer.send(bytes(10_000))
        slow.peer.send(b"here too")
        timed = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, timed.set)
        async with asyncio.timeout(60):
            await timed.wait()
        await until(lambda: slow.data == b"here too")
        assert fast.data
        fast.close()
        slow.close()

    run(main())


def test_more_sockets_than_fit_one_turn(run: Run) -> None:
    async def main() -> None:
        readers = [Reader() for _ in range(150)]
        for reader in readers:
            reader.channel.start_reading()
            reader.peer.send(b"x")
        await until(lambda: all(reader.data for reader in readers))
        assert max(reader.looked for reader in readers) <= 2
        for reader in readers:
            reader.close()

    run(main())


# -- nothing spins -------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("reading", [True, False])
def test_an_end_is_told_once(run: Run, how: str, reading: bool) -> None:
    async def main() -> None:
        reader = Reader(size=4)
        await until(at_rest)
        if reading:
            reader.channel.start_reading()
        reader.peer.send(b"data")
        if how == "fin":
            reader.peer.shutdown(socket.SHUT_WR)
        else:
            reader.reset()
        await until(lambda: reader.channel._ended)
        await until(at_rest)
        if not reading:
            assert not reader.looked
            reader.channel.start_reading()
        await until(lambda: reader.ends)
        await until(at_rest)
        assert reader.data == b"data"
        assert reader.ends == [0 if how == "fin" else "ConnectionResetError"]
        assert reader.looked <= 4
        reader.close()

    run(main())


def test_a_half_closed_peer_that_we_still_write_to(run: Run) -> None:
    async def main() -> None:
        reader = Reader()
        reader.channel.start_reading()
        reader.peer.shutdown(socket.SHUT_WR)
        await until(lambda: reader.ends == [0])
        for _ in range(3):
            reader.channel.send(b"x" * 10_000)
            reader.channel.flush()
            await until(at_rest)
        assert reader.looked <= 2
        reader.close()

    run(main())


# -- descriptors ---------------------------------------------------------------------------


def test_closed_by_another_in_the_same_turn(run: Run) -> None:
    async def main() -> None:
        one, two = Reader(), Reader()

        def close_both() -> None:
            one.close()
            two.close()

        for reader in (one, two):
            reader.then = close_both
            reader.channel.start_reading()
        await until(at_rest)
        one.peer.send(b"x")
        two.peer.send(b"x")
        await until(lambda: one.channel.closed)
        await asyncio.sleep(0)
        assert one.looked + two.looked == 1

    run(main())


def _takes_number(number: int, pair: tuple[socket.socket, socket.socket]) -> Reader:
    """A channel over ``pair`` whose descriptor has this number, which must be free."""
    sock, peer = pair
    os.dup2(sock.fileno(), number)
    sock.close()
    reader = Reader(pair=(socket.socket(fileno=number), peer))
    assert reader.channel.sock.fileno() == number
    reader.channel.start_reading()
    return reader


def test_a_number_taken_by_another_in_the_same_turn(run: Run) -> None:
    """The first of two that are ready closes the other, and a new one gets its number."""

    async def main() -> None:
        pair, spare = (Reader(), Reader()), tcp_pair()
        new: list[Reader] = []

        def replace(other: Reader) -> None:
            if not new:
                number = other.channel.sock.fileno()
                other.channel.close()
                new.append(_takes_number(number, spare))

        for reader, other in (pair, pair[::-1]):
            reader.then = lambda other=other: replace(other)  # type: ignore[misc]
            reader.channel.start_reading()
        await until(at_rest)
        for reader in pair:
            reader.peer.send(b"x")
            reader.peer.shutdown(socket.SHUT_WR)
        await until(lambda: new)
        await until(at_rest)
        assert not new[0].ends
        assert not new[0].data
        new[0].peer.send(b"mine")
        await until(lambda: new[0].data == b"mine")
        for reader in (*pair, *new):
            reader.close()

    run(main())


def test_a_socket_that_lives_on_in_another_process(run: Run) -> None:
    """fork(2) copies descriptors until exec; the epoll goes on telling of the closed one, under
    its number. A copy in this process does the same."""

    async def main() -> None:
        old, spare = Reader(), tcp_pair()
        number = old.channel.sock.fileno()
        copy = os.dup(number)
        old.channel.close()
        old.peer.send(b"to nobody")
        new = _takes_number(number, spare)
        old.peer.send(b"to nobody")
        old.reset()
        await until(lambda: new.looked)  # it was told, and found nothing
        await until(at_rest)
        assert not new.ends
        new.peer.send(b"mine")
        await until(lambda: new.data == b"mine")
        new.peer.close()
        await until(lambda: new.ends == [0])
        await until(at_rest)
        new.close()
        os.close(copy)

    run(main())


def test_what_cannot_be_watched_leaves_nothing(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        ours = poller()
        with (tmp_path / "file").open("wb") as file, pytest.raises(PermissionError):
            ours.add(file.fileno(), Asker(0), writing=True)
        assert not ours._polled

    run(main())


def _epolls() -> int:
    """Descriptors of this process that are one."""
    links = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return links.count("anon_inode:[eventpoll]")


def test_the_epoll_goes_with_its_loop(new_loop: NewLoop, frozen: None) -> None:
    async def use() -> ref[Poller]:
        reader = Reader()
        reader.channel.start_reading()
        reader.peer.send(b"x")
        await until(lambda: reader.data)
        reader.close()
        return ref(poller())

    gc.collect()
    before = _epolls()
    for _ in range(3):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            weak = runner.run(use())
        gc.collect()
        assert weak() is None
    assert _epolls() == before


def test_channels_that_are_open_when_the_loop_is_closed(new_loop: NewLoop) -> None:
    async def use() -> Reader:
        reader = Reader()
        reader.channel.start_reading()
        await asyncio.sleep(0)
        return reader

    with asyncio.Runner(loop_factory=new_loop) as runner:
        reader = runner.run(use())
    reader.close()
    assert reader.channel.sock.fileno() == -1


# -- bugs ----------------------------------------------------------------------------------


def test_a_bug_in_one_does_not_stop_the_others(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        readers = [Reader() for _ in range(3)]

        def fail() -> None:
            raise ValueError("a bug")

        for reader in readers:
            reader.channel.start_reading()
        readers[1].then = fail
        await until(at_rest)
        for reader in readers:
            reader.peer.send(b"x")
        await until(lambda: all(reader.data for reader in readers))
        for reader in readers:
            reader.close()

    run(main())
    assert "internal error in a connection" in caplog.text


def test_a_bug_at_the_end_of_a_turn_keeps_nobodys_data(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        reader = Reader()

        def fail() -> None:
            raise ValueError("a bug")

        poller().at_end(fail)
        reader.channel.send(b"behind it")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert reader.peer.recv(100) == b"behind it"
        reader.close()

    run(main())
    assert "internal error while sending" in caplog.text


def test_an_interrupt_leaves_the_poller_working(run: Run) -> None:
    async def main() -> None:
        reader = Reader()

        def interrupt() -> None:
            reader.channel.send(b"said before")
            raise KeyboardInterrupt

        reader.then = interrupt
        reader.channel.start_reading()
        await until(at_rest)
        reader.peer.send(b"x")
        assert not at_rest()
        with pytest.raises(KeyboardInterrupt):
            poller()._turn()
        assert reader.peer.recv(100) == b"said before"
        reader.channel.send(b"said later")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert reader.peer.recv(100) == b"said later"
        reader.close()

    run(main())
