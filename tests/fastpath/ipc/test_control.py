"""Connection 0: which answer of the worker is for whom. Without a worker."""

from __future__ import annotations

import asyncio
import json

import pytest

from kssl.fastpath.ipc.control import Control
from kssl.fastpath.ipc.frames import FrameType

pytestmark = pytest.mark.asyncio


class Configuring:
    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.lost = 0

    def frame_received(self, kind: int, payload: memoryview) -> None:
        self.frames.append((kind, bytes(payload)))

    def worker_lost(self) -> None:
        self.lost += 1


def counts(number: int) -> memoryview:
    return memoryview(json.dumps({"connections": number, "handshakes": 0}).encode())


async def test_each_gets_what_is_its_own() -> None:
    control = Control(asyncio.get_running_loop())
    receiver = control.configuring = Configuring()
    asked = control.next_counts()
    control.frame_received(FrameType.READY, memoryview(b"\1half"))
    control.frame_received(FrameType.COUNTS, counts(3))
    control.frame_received(FrameType.READY, memoryview(b"\0whole"))
    assert asked.result() == {"connections": 3, "handshakes": 0}
    assert receiver.frames == [(FrameType.READY, b"\1half"), (FrameType.READY, b"\0whole")]


async def test_all_who_ask_get_the_next_answer_and_later_ones_another() -> None:
    control = Control(asyncio.get_running_loop())
    states = [control.counting]
    first, second = control.next_counts(), control.next_counts()
    states.append(control.counting)
    control.frame_received(FrameType.COUNTS, counts(1))
    states.append(control.counting)
    assert states == [False, True, False]
    third = control.next_counts()
    control.frame_received(FrameType.COUNTS, counts(2))
    told = [each.result() for each in (first, second, third)]
    assert [each and each["connections"] for each in told] == [1, 1, 2]


async def test_the_worker_dies() -> None:
    control = Control(asyncio.get_running_loop())
    receiver = control.configuring = Configuring()
    asked = control.next_counts()
    control.worker_lost()
    assert asked.result() is None
    assert receiver.lost == 1
    control.worker_lost()  # nobody waits any more


async def test_nobody_waits() -> None:
    control = Control(asyncio.get_running_loop())
    control.frame_received(FrameType.READY, memoryview(b"\0"))
    control.frame_received(FrameType.COUNTS, counts(1))
    control.worker_lost()
    assert not control.counting
