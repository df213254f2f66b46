"""`Channel` over TCP on the loop that the front end uses."""

from __future__ import annotations

import asyncio
import gc
import socket
import struct
from collections.abc import Iterator
from weakref import ref

import pytest

from kssl.fastpath.net.channel import Channel, describe
from tests.fastpath.harness import tcp_pair, until

pytestmark = pytest.mark.asyncio

DATA = bytes(range(256)) * 4000  # 1,024,000 bytes, more than the sockets take


class Owner:
    """Notes what the channel tells."""

    def __init__(self) -> None:
        self.readable = self.drained = 0
        self.broken: list[OSError] = []

    def on_readable(self) -> None:
        self.readable += 1

    def on_drained(self) -> None:
        self.drained += 1

    def on_broken(self, error: OSError) -> None:
        self.broken.append(error)


class Ends:
    def __init__(self, buffers: int | None = None) -> None:
        self.owner = Owner()
        sock, self.peer = tcp_pair(buffers=buffers)
        loop = asyncio.get_running_loop()
        owner = self.owner
        self.channel = Channel(loop, sock, owner.on_readable, owner.on_drained, owner.on_broken)

    async def peer_reads(self, size: int) -> bytes:
        loop, data = asyncio.get_running_loop(), bytearray()
        while len(data) < size:
            more = await loop.sock_recv(self.peer, min(size - len(data), 1 << 16))
            assert more
            data += more
        return bytes(data)


@pytest.fixture
def small() -> Iterator[list[Ends]]:
    """To be filled by the test; closed behind it."""
    made: list[Ends] = []
    yield made
    for ends in made:
        ends.channel.close()
        ends.peer.close()


def make(made: list[Ends], buffers: int | None = None) -> Ends:
    made.append(Ends(buffers))
    return made[-1]


async def test_what_the_kernel_refuses_is_sent_later_and_in_order(small: list[Ends]) -> None:
    ends = make(small, 16 * 1024)
    buffer = bytearray(DATA)
    ends.channel.send(memoryview(buffer))
    buffer[:] = bytes(len(buffer))  # free again
    assert 0 < ends.channel.backlog < len(DATA)
    ends.channel.send(b"the end")
    assert ends.owner.drained == 0
    assert await ends.peer_reads(len(DATA) + 7) == DATA + b"the end"
    await until(lambda: ends.owner.drained)
    assert ends.owner.drained == 1
    assert ends.channel.backlog == 0


async def test_nothing_is_drained_that_was_never_held_back(small: list[Ends]) -> None:
    ends = make(small)
    for part in (b"bytes", bytearray(b"bytearray"), memoryview(b"view"), b""):
        ends.channel.send(part)
        assert ends.channel.backlog == 0
    assert await ends.peer_reads(18) == b"bytesbytearrayview"
    assert ends.owner.drained == 0


async def test_sending_from_within_drained(small: list[Ends]) -> None:
    ends = make(small, 16 * 1024)

    def again() -> None:
        if ends.owner.drained == 0:
            ends.owner.drained = 1
            ends.channel.send(DATA)
            ends.channel.send(b".")

    ends.channel.rebind(lambda: None, again, ends.owner.on_broken)
    ends.channel.send(DATA)
    assert await ends.peer_reads(2 * len(DATA) + 1) == DATA + DATA + b"."


async def test_outstanding_counts_down_to_nothing(small: list[Ends]) -> None:
    ends = make(small, 16 * 1024)
    ends.channel.send(DATA)
    before = ends.channel.outstanding()
    assert before > ends.channel.backlog  # the kernel has some of it
    await ends.peer_reads(200_000)
    await until(lambda: ends.channel.outstanding() < before)
    await ends.peer_reads(len(DATA) - 200_000)
    await until(lambda: ends.channel.outstanding() == 0)
    ends.channel.close()
    assert ends.channel.outstanding() == 0


async def test_what_waits_for_the_end_of_the_turn_is_outstanding_and_no_backlog(
    small: list[Ends],
) -> None:
    ends = make(small)
    ends.channel.send(b"small")
    assert ends.channel.outstanding() == 5
    assert ends.channel.backlog == 0
    assert await ends.peer_reads(5) == b"small"
    await until(lambda: ends.channel.outstanding() == 0)


async def test_sending_at_once_keeps_the_order(small: list[Ends]) -> None:
    ends = make(small, 16 * 1024)
    ends.channel.send(b"first")
    ends.channel.send_at_once(b"second")
    ends.peer.setblocking(True)
    assert ends.peer.recv(100) == b"firstsecond"
    ends.peer.setblocking(False)
    ends.channel.send_at_once(DATA)
    assert ends.channel.backlog
    ends.channel.send_at_once(b"the end")
    assert await ends.peer_reads(len(DATA) + 7) == DATA + b"the end"


async def test_nothing_holds_a_loop_that_is_over(frozen: None) -> None:
    class Weakly(asyncio.SelectorEventLoop):
        pass

    def use() -> ref[Weakly]:
        loop = Weakly()
        sock, peer = tcp_pair()
        channel = Channel(loop, sock, lambda: None, lambda: None, lambda error: None)
        channel.send(b"never flushed")
        peer.close()
        loop.close()
        sock.close()
        return ref(loop)

    weak = await asyncio.to_thread(use)
    gc.collect()
    assert weak() is None


async def test_channels_of_one_loop_share_their_turns_end(small: list[Ends]) -> None:
    assert make(small).channel._poller is make(small).channel._poller


async def test_a_broken_peer_is_told_once_and_not_from_within_send(small: list[Ends]) -> None:
    ends = make(small)
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.peer.close()
    while not ends.channel.broken:
        ends.channel.send(b"x")
        assert not ends.owner.broken
    ends.channel.send(b"x")
    await until(lambda: ends.owner.broken)
    [error] = ends.owner.broken
    assert isinstance(error, (ConnectionResetError, BrokenPipeError))
    assert ends.channel.backlog == 0


async def test_a_peer_that_breaks_while_it_is_awaited(small: list[Ends]) -> None:
    ends = make(small, 16 * 1024)
    ends.channel.send(DATA)
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.peer.close()
    await until(lambda: ends.owner.broken)
    assert ends.channel.broken
    assert ends.channel.backlog == 0
    assert ends.owner.drained == 0


async def test_a_channel_closed_meanwhile_tells_nothing(small: list[Ends]) -> None:
    ends = make(small)
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    ends.peer.close()
    while not ends.channel.broken:
        ends.channel.send(b"x")
    ends.channel.close()
    await asyncio.sleep(0)
    assert not ends.owner.broken


async def test_rebind_while_reading(small: list[Ends]) -> None:
    ends = make(small)
    ends.channel.start_reading()
    second = Owner()

    def read() -> None:
        second.on_readable()
        ends.channel.recv_into(bytearray(10))

    ends.channel.rebind(read, second.on_drained, second.on_broken)
    ends.peer.send(b"x")
    await until(lambda: second.readable)
    assert ends.owner.readable == 0


async def test_rebind_while_sending(small: list[Ends]) -> None:
    ends = make(small, 16 * 1024)
    ends.channel.send(DATA)
    second = Owner()
    ends.channel.rebind(second.on_readable, second.on_drained, second.on_broken)
    await ends.peer_reads(len(DATA))
    await until(lambda: second.drained)
    assert ends.owner.drained == 0


async def test_reading_starts_and_stops(small: list[Ends]) -> None:
    ends = make(small)
    received = bytearray()

    def read() -> None:
        buffer = bytearray(100)
        size = ends.channel.recv_into(buffer)
        received.extend(buffer[:size])
        ends.channel.stop_reading()

    ends.channel.rebind(read, lambda: None, lambda error: None)
    ends.peer.send(b"one")
    await asyncio.sleep(0)
    assert not received
    ends.channel.start_reading()
    ends.channel.start_reading()
    await until(lambda: received == b"one")
    ends.peer.send(b"two")
    await asyncio.sleep(0)
    assert received == b"one"
    ends.channel.start_reading()
    await until(lambda: received == b"onetwo")


async def test_the_end_is_readable(small: list[Ends]) -> None:
    ends = make(small)
    sizes: list[int] = []

    def read() -> None:
        sizes.append(ends.channel.recv_into(bytearray(10)))
        ends.channel.stop_reading()

    ends.channel.rebind(read, lambda: None, lambda error: None)
    ends.channel.start_reading()
    ends.peer.shutdown(socket.SHUT_WR)
    await until(lambda: sizes == [0])


async def test_shutdown_write_sends_fin_and_leaves_reading(small: list[Ends]) -> None:
    ends = make(small)
    ends.channel.send(b"bye")
    ends.channel.shutdown_write()
    ends.channel.shutdown_write()
    assert await ends.peer_reads(3) == b"bye"
    assert await asyncio.get_running_loop().sock_recv(ends.peer, 1) == b""
    ends.channel.start_reading()
    ends.peer.send(b"x")
    await until(lambda: ends.owner.readable)


async def test_close_is_final(small: list[Ends]) -> None:
    ends = make(small, 16 * 1024)
    ends.channel.start_reading()
    ends.channel.send(DATA)
    ends.channel.close()
    ends.channel.close()
    ends.channel.abort()
    ends.channel.send(b"too late")
    ends.channel.start_reading()
    ends.channel.stop_reading()
    assert ends.channel.closed
    assert ends.channel.backlog == 0
    assert ends.channel.sock.fileno() == -1


async def test_abort_resets(small: list[Ends]) -> None:
    ends = make(small)
    ends.channel.abort()
    with pytest.raises(ConnectionResetError):
        await asyncio.get_running_loop().sock_recv(ends.peer, 1)


async def test_describe() -> None:
    assert describe(ConnectionResetError(104, "x")) == "connection reset by peer"
    assert describe(OSError("in words")) == "in words"


async def test_parts_leave_in_order_however_much_the_kernel_takes(small: list[Ends]) -> None:
    ends = make(small, 16 * 1024)
    parts: list[bytes | bytearray | memoryview] = [
        b"a" * 10,
        bytearray(b"b" * 3_000_000),
        memoryview(b"c" * 70_000),
    ]
    ends.channel.send(b"before")
    ends.channel.send_parts(*parts)
    ends.channel.send_parts(b"behind", b"it")
    expected = b"before" + b"".join(parts) + b"behindit"
    assert await ends.peer_reads(len(expected)) == expected


@pytest.mark.parametrize("size", [100, 65536])
async def test_a_reset_right_behind_data_is_heard_of(small: list[Ends], size: int) -> None:
    """Both are there before the loop looks; a buffer that they fill exactly changes nothing."""
    ends = make(small)
    got: list[int | OSError] = []
    buffer = memoryview(bytearray(65536))

    def read() -> None:
        try:
            got.append(ends.channel.recv_into(buffer))
        except OSError as error:
            got.append(error)
            ends.channel.stop_reading()

    ends.channel.rebind(read, ends.owner.on_drained, ends.owner.on_broken)
    ends.peer.sendall(bytes(size))
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ends.peer.close()
    ends.channel.start_reading()
    await until(lambda: got and isinstance(got[-1], OSError))
    assert sum(part for part in got if isinstance(part, int)) == size
    assert isinstance(got[-1], ConnectionResetError)


class Listening:
    """Reads to the end, and notes how it comes."""

    def __init__(self, ends: Ends) -> None:
        self.got: list[int | OSError] = []
        self._channel = ends.channel
        ends.channel.rebind(self._read, ends.owner.on_drained, ends.owner.on_broken)
        ends.channel.start_reading()

    @property
    def over(self) -> bool:
        return bool(self.got) and (not self.got[-1] or isinstance(self.got[-1], OSError))

    def _read(self) -> None:
        try:
            self.got.append(self._channel.recv_into(bytearray(100)))
        except BlockingIOError:
            return
        except OSError as error:
            self.got.append(error)
        if self.over:
            self._channel.stop_reading()


@pytest.mark.parametrize("size", [5, 1_000_000])
async def test_a_reset_that_a_send_met_is_no_fin(small: list[Ends], size: int) -> None:
    """The kernel tells an error once, to the first who asks: then reading would end with 0."""
    ends = make(small, 16 * 1024)
    ends.channel.send(bytes(size))
    listening = Listening(ends)
    await asyncio.sleep(0)
    ends.peer.send(b"data")
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ends.peer.close()
    ends.channel.send(b"more")
    ends.channel.flush()
    await until(lambda: listening.over)
    await until(lambda: ends.owner.broken)
    data, end = listening.got
    assert data == 4
    assert isinstance(end, ConnectionResetError)


async def test_a_fin_in_front_of_a_reset_is_one(small: list[Ends]) -> None:
    ends = make(small)
    ends.peer.send(b"data")
    ends.peer.shutdown(socket.SHUT_WR)
    ends.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    ends.peer.close()
    ends.channel.send(b"more")
    ends.channel.flush()
    await until(lambda: ends.owner.broken)
    assert isinstance(ends.owner.broken[0], BrokenPipeError)
    listening = Listening(ends)
    await until(lambda: listening.over)
    assert listening.got == [4, 0]


@pytest.mark.parametrize("reading", [True, False])
async def test_what_is_behind_an_urgent_byte_is_read(small: list[Ends], reading: bool) -> None:
    """A read stops in front of it (tcp(7)), which looks as if that were all."""
    ends = make(small)
    got = bytearray()

    def read() -> None:
        buffer = bytearray(100)
        try:
            size = ends.channel.recv_into(buffer)
        except BlockingIOError:
            return
        got.extend(buffer[:size])

    ends.channel.rebind(read, lambda: None, lambda error: None)
    if reading:
        ends.channel.start_reading()
    ends.peer.send(b"in front")
    ends.peer.send(b"!", socket.MSG_OOB)
    ends.peer.send(b" and behind")
    await until(lambda: ends.channel.ready or got)
    ends.channel.start_reading()
    await until(lambda: got == b"in front and behind")
