"""When frames leave for the worker, in which order, and who hears of its end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from kssl.fastpath.ipc import link as module
from kssl.fastpath.ipc.frames import DROP, KEEP, FrameType, parse
from kssl.fastpath.ipc.link import WorkerLink
from tests.fastpath.harness import until

pytestmark = pytest.mark.asyncio

Sent = list[tuple[int, int, bytes]]  # type, connection, payload


class Receiver:
    def __init__(self) -> None:
        self.lost = 0

    def frame_received(self, kind: int, payload: memoryview) -> None:
        raise AssertionError("the other side says nothing")

    def worker_lost(self) -> None:
        self.lost += 1


class Fails(Receiver):
    def worker_lost(self) -> None:
        raise ValueError("a bug")


class Ends:
    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.lost: list[WorkerLink] = []
        self.link = WorkerLink(asyncio.get_running_loop(), ours, self.lost.append)

    def sent(self) -> Sent:
        """All frames since the last call."""
        try:
            data = bytearray(self.theirs.recv(1 << 16))
        except BlockingIOError:
            return []
        return [
            (kind, identifier, bytes(data[start:end]))
            for kind, identifier, start, end in parse(data, len(data))
        ]


@pytest.fixture
def made() -> Iterator[list[Ends]]:
    """To be filled by the test; closed behind it."""
    made: list[Ends] = []
    yield made
    for ends in made:
        ends.link.close()
        ends.theirs.close()


def make(made: list[Ends]) -> Ends:
    made.append(Ends())
    return made[-1]


async def turn() -> None:
    """The loop comes round, with what was asked for at its end."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def test_a_turns_frames_leave_at_its_end(made: list[Ends]) -> None:
    ends = make(made)
    for payload in (b"one", b"two"):
        ends.link.send(FrameType.SEAL, 1, payload)
    assert ends.sent() == []
    await turn()
    assert ends.sent() == [(FrameType.SEAL, 1, b"one"), (FrameType.SEAL, 1, b"two")]


async def test_the_end_of_a_connection_goes_with_the_next_frame_and_in_front_of_it(
    made: list[Ends], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A session that must not be resumed is dropped before anybody can ask for it again."""
    monkeypatch.setattr(module, "_END_DELAY", 3600.0)
    ends = make(made)
    first = ends.link.open(Receiver())
    ends.link.end(first, resumable=False)
    await turn()
    assert ends.sent() == []
    second = ends.link.open(Receiver())
    ends.link.send(FrameType.BEGIN, second, b"\0hello")
    await turn()
    assert ends.sent() == [
        (FrameType.END, first, bytes([DROP])),
        (FrameType.BEGIN, second, b"\0hello"),
    ]


async def test_nor_does_a_large_frame_overtake_it(
    made: list[Ends], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_END_DELAY", 3600.0)
    ends = make(made)
    first, second = ends.link.open(Receiver()), ends.link.open(Receiver())
    ends.link.end(first, resumable=True)
    large = bytes(20_000)
    ends.link.send(FrameType.SEAL, second, large)
    assert ends.sent() == [
        (FrameType.END, first, bytes([KEEP])),
        (FrameType.SEAL, second, large),
    ]


async def test_ends_leave_soon_when_there_is_nothing_else_to_say(
    made: list[Ends], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_END_DELAY", 0.01)
    ends = make(made)
    for _ in range(2):  # again after the first delay is over
        numbers = [ends.link.open(Receiver()) for _ in range(3)]
        for number in numbers:
            ends.link.end(number, resumable=True)
            ends.link.end(number, resumable=False)  # it is over already
        got: Sent = []
        await until(lambda got=got: got.extend(ends.sent()) or got)  # type: ignore[misc]
        assert got == [(FrameType.END, number, bytes([KEEP])) for number in numbers]


@pytest.mark.parametrize("how", ["the worker dies", "the service stops"])
async def test_a_link_that_is_over_within_the_delay(
    made: list[Ends], monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(module, "_END_DELAY", 0.01)
    errors: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: errors.append(context))
    ends = make(made)
    number, other = ends.link.open(Receiver()), Receiver()
    last = ends.link.open(other)
    ends.link.end(number, resumable=True)
    if how == "the worker dies":
        ends.theirs.close()
        await until(lambda: ends.lost)
        assert other.lost == 1
    else:
        ends.link.close()
    ends.link.end(last, resumable=True)
    await until(lambda: not ends.link._ends_wait)
    assert not errors


async def test_all_hear_of_the_workers_end_whatever_one_of_them_does(
    made: list[Ends], caplog: pytest.LogCaptureFixture
) -> None:
    ends, others = make(made), [Receiver(), Receiver()]
    for receiver in (others[0], Fails(), others[1]):
        ends.link.open(receiver)
    ends.theirs.close()
    await until(lambda: ends.lost)
    assert [other.lost for other in others] == [1, 1]
    assert "internal error after the worker was lost" in caplog.text
