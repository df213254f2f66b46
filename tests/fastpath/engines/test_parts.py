"""Plaintext that the worker tells in many small parts: they wait for a turn, and come as one."""

from __future__ import annotations

import asyncio

import pytest

from kssl.fastpath.engines.worker import WorkerEngine
from kssl.fastpath.ipc.frames import FrameType
from kssl.fastpath.net.poller import Poller
from tests.fastpath.client import Client
from tests.fastpath.harness import Accepted, Place, until

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Parts:
    """A connection, and what its sink was given at each call."""

    def __init__(self, client: Client, accepted: Accepted) -> None:
        self.client = client
        self.accepted = accepted
        self.calls: list[bytes] = []
        accepted.sink.on_data = lambda data: self.calls.append(bytes(data))
        assert isinstance(accepted.engine, WorkerEngine)
        self.engine = accepted.engine

    def say(self, kind: FrameType, payload: bytes) -> None:
        """In the worker's place."""
        self.engine.frame_received(kind, memoryview(payload))

    def asked(self) -> None:
        """As if the client's records were at the worker."""
        self.engine._unopened_sizes.append(0)


async def parts(place: Place) -> Parts:
    made = Parts(*await place.connect(WorkerEngine))
    made.asked()
    return made


async def test_parts_join_and_wait_for_a_turn(place: Place) -> None:
    told = await parts(place)
    for part in (b"a", b"b", b"c"):
        told.say(FrameType.OPENED_PART, part)
    assert not told.calls  # others come first
    await until(lambda: told.calls)
    assert told.calls == [b"abc"]
    told.say(FrameType.OPENED, b"d")
    assert told.calls == [b"abc", b"d"]


async def test_the_last_part_does_not_wait(place: Place) -> None:
    told = await parts(place)
    told.say(FrameType.OPENED_PART, b"a")
    told.say(FrameType.OPENED_PART, b"b")
    told.say(FrameType.OPENED, b"")
    assert told.calls == [b"ab"]
    told.say(FrameType.PEER_CLOSED, b"")
    assert told.accepted.sink.closed == [True]
    await asyncio.sleep(0)
    assert told.calls == [b"ab"]


async def test_others_are_served_between(place: Place) -> None:
    first, second = await parts(place), await parts(place)
    for _ in range(1000):
        first.say(FrameType.OPENED_PART, b"x")
    second.say(FrameType.OPENED, b"request")
    assert second.calls == [b"request"]
    assert not first.calls
    await until(lambda: first.calls)
    assert first.calls == [b"x" * 1000]


async def test_parts_before_the_worker_died_are_told(place: Place) -> None:
    told = await parts(place)
    told.say(FrameType.OPENED_PART, b"a")
    told.engine.worker_lost()
    assert told.calls == [b"a"]
    assert told.accepted.sink.failed


async def test_nothing_is_told_after_the_end(place: Place) -> None:
    told = await parts(place)
    told.say(FrameType.OPENED_PART, b"a")
    told.accepted.abort()
    told.say(FrameType.OPENED_PART, b"b")
    poller = Poller.of(asyncio.get_running_loop())
    await until(lambda: not poller._again)
    assert not told.calls


async def test_very_many_records_through_the_worker(place: Place) -> None:
    told = await parts(place)
    told.engine._unopened_sizes.clear()
    client = told.client
    client.go_raw()
    data = bytes(range(256)) * 8
    for _ in range(3):
        await client.send_raw(b"".join(client.forger.data(data[i : i + 1]) for i in range(2048)))
    await until(lambda: len(told.accepted.sink.data) == 3 * len(data))
    assert told.accepted.sink.data == data * 3
