"""Workers that die at once, or not at all; and what a supervisor leaves behind: nothing.

Signals go to processes that the test itself started.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from kssl.fastpath.engines.aead import AeadEngine
from kssl.fastpath.ipc import link as link_module
from kssl.fastpath.ipc import processes
from kssl.fastpath.ipc import supervisor as module
from kssl.fastpath.ipc.frames import Frame, parse
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.supervisor import Supervisor, WorkerRefusedError
from tests.fastpath.harness import Certificates, Place, process_exists, until, worker_settings
from tests.processes import halt

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def place(certificates: Certificates, tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path, certificates.ecdsa)
    await place.start()
    yield place
    place.settle()
    await place.stop()


# -- dying ---------------------------------------------------------------------------------


async def test_after_a_short_life_there_is_a_pause(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHORT_LIFE", 3600.0)
    paused = []

    async def pause(self: Supervisor) -> None:
        paused.append(self.link)

    monkeypatch.setattr(Supervisor, "_rest", pause)
    place.kill_worker()
    await until(lambda: place.supervisor.restarts == 1)
    assert paused == [None]


async def test_after_a_long_one_there_is_none(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHORT_LIFE", 0.0)
    monkeypatch.setattr(module, "_PAUSE", 3600.0)
    place.kill_worker()
    await place.worker_is_lost()
    await place.worker_is_back()


class DiesWhenReady(WorkerLink):
    """Loses its worker in the turn in which READY came."""

    def _readable(self) -> None:
        super()._readable()
        self._broken(None)


async def test_one_that_dies_as_soon_as_it_is_ready(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WorkerLink", DiesWhenReady)
    supervisor = Supervisor(worker_settings(tmp_path, certificates.ecdsa))
    with pytest.raises(WorkerRefusedError, match="died as soon as it was ready"):
        await supervisor.start()
    assert supervisor.link is None
    await supervisor.stop()


async def test_a_handshake_that_was_cancelled_waits_no_more(place: Place) -> None:
    place.kill_worker()
    await place.worker_is_lost()
    _, accepted = place.pair(AeadEngine)
    assert place.supervisor._waiting
    accepted.handshake.cancel()
    assert not place.supervisor._waiting
    await place.worker_is_back()


# -- not dying -----------------------------------------------------------------------------


async def test_stop_kills_one_that_does_not_end(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_END_LIMIT", 0.05)
    halt(place.pid)
    async with asyncio.timeout(60):
        await place.supervisor.stop()
    assert not process_exists(place.pid)


async def test_stop_does_not_forget_the_one_before(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_END_LIMIT", 0.05)
    stuck = place.pid
    halt(stuck)
    place.link._broken(None)
    await place.worker_is_lost()
    async with asyncio.timeout(60):
        await place.supervisor.stop()
    assert not process_exists(stuck)


async def test_nonsense_ends_a_process_that_would_live_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_END_LIMIT", 0.05)
    talker, ours = place.pid, place.link._buffer

    def nonsense(buffer: memoryview, end: int) -> Iterator[Frame]:
        if buffer is not ours:  # another place's link
            return parse(buffer, end)
        monkeypatch.setattr(link_module, "parse", parse)
        halt(talker)
        raise ValueError("nonsense")

    monkeypatch.setattr(link_module, "parse", nonsense)
    client, _ = place.pair(AeadEngine)
    await client.send_raw(client.first_flight())
    await place.worker_is_lost()
    await place.worker_is_back()
    assert place.pid != talker
    await until(lambda: not process_exists(talker))


# -- not starting --------------------------------------------------------------------------


async def test_a_process_that_cannot_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Supervisor(worker_settings(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    with pytest.raises(WorkerRefusedError):  # the loop makes descriptors of its own
        await supervisor.start()
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(WorkerRefusedError, match="No such file"):
        await supervisor.start()
    assert not set(os.listdir("/proc/self/fd")) - before  # those of earlier tests may go
    assert supervisor.pid is None
    await supervisor.stop()


async def test_one_that_is_not_ready_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_START_LIMIT", 0.001)
    supervisor = Supervisor(worker_settings(tmp_path))
    with pytest.raises(WorkerRefusedError, match="not ready after"):
        await supervisor.start()
    assert supervisor.pid is not None
    assert not process_exists(supervisor.pid)
    await supervisor.stop()
