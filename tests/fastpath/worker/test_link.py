"""When frames leave for the worker."""

from __future__ import annotations

import asyncio
import socket

import pytest

from fastpath.worker.frames import FrameType, parse
from fastpath.worker.link import WorkerLink

pytestmark = pytest.mark.asyncio


async def test_a_turns_frames_leave_at_its_end() -> None:
    ours, theirs = socket.socketpair()
    link = WorkerLink(asyncio.get_running_loop(), ours, lambda link: None)
    for payload in (b"one", b"two"):
        link.send(FrameType.SEAL, 1, payload)
    await asyncio.sleep(0)  # one turn
    theirs.setblocking(False)
    sent = theirs.recv(1000)
    assert [sent[start:end] for _, _, start, end in parse(bytearray(sent), len(sent))] == [
        b"one",
        b"two",
    ]
    link.close()
    theirs.close()
