"""Filter and worker are one to the supervisor: started together, and ended by either's death.

Signals go to processes that the test itself started.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from kssl.fastpath.engines.worker import WorkerEngine
from kssl.fastpath.ipc import processes
from kssl.fastpath.ipc import supervisor as module
from kssl.fastpath.ipc.supervisor import Supervisor, WorkerRefusedError
from tests.fastpath.harness import Certificates, Place, process_exists, until, worker_settings
from tests.processes import halt

pytestmark = pytest.mark.asyncio

either = pytest.mark.parametrize("victim", ["filter", "worker"])


@pytest_asyncio.fixture
async def place(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    """A filter and a worker of the test's own; without the pause after a short life."""
    monkeypatch.setattr(module, "_SHORT_LIFE", 0.0)
    place = Place(tmp_path, certificates.ecdsa, hops=2)
    await place.start()
    yield place
    place.settle()
    await place.stop()


def pid_of(place: Place, name: str) -> int:
    return place.filter_pid if name == "filter" else place.pid


async def works(place: Place) -> None:
    client, accepted = await place.connect(WorkerEngine)
    await client.send(b"request")
    await until(lambda: accepted.sink.data == b"request")
    accepted.write(b"reply")
    assert await client.receive_exactly(5) == b"reply"


# -- dying ---------------------------------------------------------------------------------


@either
async def test_either_is_killed(
    place: Place, victim: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, accepted = await place.connect(WorkerEngine)
    client.go_raw()
    accepted.write(b"half of the re")
    await client.read_raw(14)
    before = [place.pid, place.filter_pid]
    os.kill(pid_of(place, victim), signal.SIGKILL)
    assert await client.read_raw_until_end() == "reset"
    assert not client.reader.alerts
    [reason] = accepted.sink.failed
    assert "crypto worker died" in reason
    await place.worker_is_back()
    assert not {place.pid, place.filter_pid} & {*before}
    await works(place)
    await until(lambda: not any(map(process_exists, before)))
    assert f"crypto worker {before[0]} or its filter {before[1]} died" in caplog.text
    assert "does not end" not in caplog.text


@either
async def test_a_handshake_waits_for_the_next_two(place: Place, victim: str) -> None:
    os.kill(pid_of(place, victim), signal.SIGKILL)
    await place.worker_is_lost()
    await works(place)


async def test_ctrl_c_is_the_front_ends(place: Place) -> None:
    os.kill(place.pid, signal.SIGINT)
    os.kill(place.filter_pid, signal.SIGINT)
    await works(place)
    assert place.supervisor.restarts == 0


# -- ending --------------------------------------------------------------------------------


async def test_stop_leaves_no_process(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    pids = [place.pid, place.filter_pid]
    await works(place)
    await place.supervisor.stop()
    assert not any(map(process_exists, pids))
    assert not caplog.records


async def test_stop_while_others_start(place: Place) -> None:
    pids = [place.pid, place.filter_pid]
    os.kill(place.filter_pid, signal.SIGKILL)
    await place.worker_is_lost()
    await until(lambda: place.pid not in pids)
    pids += [place.pid, place.filter_pid]
    await place.supervisor.stop()
    assert not any(map(process_exists, pids))


@either
async def test_stop_kills_one_that_does_not_end(
    place: Place, victim: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pids = [place.pid, place.filter_pid]
    stuck = pid_of(place, victim)
    halt(stuck)
    monkeypatch.setattr(processes, "_END_LIMIT", 1.0)
    async with asyncio.timeout(60):
        await place.supervisor.stop()
    assert not any(map(process_exists, pids))
    [said] = caplog.messages  # the other one ended by itself
    assert f"{victim} {stuck} does not end" in said


async def test_both_end_without_a_front_end(place: Place) -> None:
    pids = [place.pid, place.filter_pid]
    place.link.close()
    await until(lambda: not any(map(process_exists, pids)))


# -- not starting --------------------------------------------------------------------------


async def test_a_refused_configuration_leaves_no_process(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    supervisor = Supervisor(worker_settings(tmp_path, (missing, None)), hops=2)
    with pytest.raises(WorkerRefusedError, match=f"certificate file {missing} does not exist"):
        await supervisor.start()
    for pid in (supervisor.pid, supervisor.filter_pid):
        assert pid is not None
        assert not process_exists(pid)
    await supervisor.stop()


async def test_a_filter_that_cannot_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the worker stays behind nor a descriptor."""
    started: list[int] = []
    real = asyncio.create_subprocess_exec

    async def start(*command: str, **options: object) -> asyncio.subprocess.Process:
        if "kssl.fastpath.filter" in command:
            raise OSError(11, "Resource temporarily unavailable")
        process = await real(*command, **options)  # type: ignore[arg-type]
        started.append(process.pid)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    supervisor = Supervisor(worker_settings(tmp_path), hops=2)
    with pytest.raises(WorkerRefusedError):  # the loop makes descriptors of its own
        await supervisor.start()
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(WorkerRefusedError, match=r"cannot be started: .*unavailable"):
        await supervisor.start()
    assert not set(os.listdir("/proc/self/fd")) - before  # those of earlier tests may go
    assert len(started) == 2
    assert not any(map(process_exists, started))
    assert (supervisor.pid, supervisor.filter_pid) == (None, None)
    await supervisor.stop()
