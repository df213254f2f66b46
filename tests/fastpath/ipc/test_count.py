"""`Supervisor.count`: what a worker has, beside all else that it is told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from kssl.fastpath.engines.contract import Engine
from kssl.fastpath.ipc import supervisor as module
from kssl.fastpath.ipc.frames import FrameType
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.supervisor import Supervisor, WorkerRefusedError
from tests.fastpath.harness import (
    ENGINES,
    PATIENCE,
    Certificates,
    Place,
    told_certificate,
    until,
    worker_settings,
)
from tests.processes import halt

pytestmark = pytest.mark.asyncio

every_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)


@pytest_asyncio.fixture(params=[1, 2], ids=["1 hop", "2 hops"])
async def place(
    request: pytest.FixtureRequest, certificates: Certificates, tmp_path: Path
) -> AsyncIterator[Place]:
    place = Place(tmp_path, certificates.ecdsa, hops=request.param)
    await place.start()
    yield place
    place.settle()
    await place.stop()


def has(connections: int, handshakes: int) -> dict[str, int]:
    return {"connections": connections, "handshakes": handshakes}


async def comes_to(place: Place, wanted: dict[str, int]) -> None:
    """A handshake waits in the worker until all else is answered, this question too."""
    async with asyncio.timeout(PATIENCE):
        while await place.supervisor.count() != wanted:
            pass


@every_engine
async def test_connections_and_handshakes(engine: type[Engine], place: Place) -> None:
    count = place.supervisor.count
    assert await count() == has(0, 0)
    client, accepted = await place.connect(engine)
    assert await count() == has(1, 0)
    begun, other = place.pair(engine)
    flight = begun.first_flight()
    await begun.send_raw(flight[:100])
    await until(lambda: other.handshake._sent or other.handshake._ahead)
    await comes_to(place, has(2, 1))
    await begun.send_raw(flight[100:])
    await begun.handshake()
    await until(lambda: other.decided)
    assert await count() == has(2, 0)
    accepted.close()
    await client.receive_all()
    client.close()
    await until(lambda: accepted.sink.endings)
    # The worker hears of the end with the next frame, which is this question.
    assert await count() == has(1, 0)


def questions(monkeypatch: pytest.MonkeyPatch, place: Place) -> list[int]:
    """The COUNT frames that leave for this place's worker from now on, by connection."""
    seen: list[int] = []
    ours = place.link
    send = WorkerLink.send

    def noted(link: WorkerLink, kind: FrameType, identifier: int, *parts: bytes) -> None:
        if kind == FrameType.COUNT and link is ours:
            seen.append(identifier)
        send(link, kind, identifier, *parts)

    monkeypatch.setattr(WorkerLink, "send", noted)
    return seen


async def test_many_ask_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = questions(monkeypatch, place)
    answers = await asyncio.gather(*(place.supervisor.count() for _ in range(100)))
    assert answers == [has(0, 0)] * 100
    assert asked == [0]
    assert await place.supervisor.count() == has(0, 0)
    assert asked == [0, 0]


@pytest.mark.parametrize("good", [True, False], ids=["accepted", "refused"])
async def test_beside_other_settings(
    place: Place, certificates: Certificates, tmp_path: Path, good: bool
) -> None:
    """Behind a worker that stands still all questions pile up; each answer finds its way."""
    pair = certificates.rsa if good else (tmp_path / "missing.pem", tmp_path / "missing.key")
    settings = worker_settings(tmp_path, pair)
    supervisor = place.supervisor
    halt(place.pid)
    before = asyncio.ensure_future(supervisor.count())
    await until(lambda: place.link._control.counting)
    changed = asyncio.ensure_future(supervisor.reconfigure(settings))
    await until(lambda: getattr(place.link._control.configuring, "_lost", "").endswith("changed"))
    behind = [asyncio.ensure_future(supervisor.count()) for _ in range(3)]
    await asyncio.sleep(0)
    os.kill(place.pid, signal.SIGCONT)
    assert await asyncio.gather(before, *behind) == [has(0, 0)] * 4
    if good:
        assert (await changed)["problems"] == []
    else:
        with pytest.raises(WorkerRefusedError, match=r"missing\.pem does not exist"):
            await changed
    assert await supervisor.count() == has(0, 0)
    assert supervisor.restarts == 0


async def test_beside_settings_of_many_pieces(place: Place, certificates: Certificates) -> None:
    names = {f"{'x' * 60}.site{number}.example": 0 for number in range(8000)}
    settings = worker_settings(Path(str(place.supervisor._settings.fixed[1])))
    tls = {
        "certificates": [told_certificate(certificates.rsa)],
        "endpoints": [{"names": names, "default": 0}],
    }
    wanted = module.WorkerSettings(settings.state_dir, True, tls)
    *counts, changed, last = await asyncio.gather(
        place.supervisor.count(),
        place.supervisor.count(),
        place.supervisor.reconfigure(wanted),
        place.supervisor.count(),
    )
    assert [*counts, last] == [has(0, 0)] * 3
    assert changed == {"ca": None, "warnings": [], "problems": []}


async def test_no_worker(place: Place, tmp_path: Path) -> None:
    assert await Supervisor(worker_settings(tmp_path)).count() is None
    place.kill_worker()
    await place.worker_is_lost()
    assert await place.supervisor.count() is None
    await place.worker_is_back()
    assert await place.supervisor.count() == has(0, 0)


async def test_a_worker_that_dies_instead_of_answering(place: Place) -> None:
    halt(place.pid)
    asked = [asyncio.ensure_future(place.supervisor.count()) for _ in range(3)]
    await until(lambda: place.link._control.counting)
    place.kill_worker()
    assert await asyncio.gather(*asked) == [None] * 3
    await place.worker_is_back()


async def test_a_worker_that_stands_still(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing grows, however often it is asked, and afterwards it answers."""
    asked = questions(monkeypatch, place)
    halt(place.pid)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_COUNT_LIMIT", 0.01)
        for _ in range(20):
            assert await place.supervisor.count() is None
    assert asked == [0]
    waiting = asyncio.ensure_future(place.supervisor.count())
    given_up = asyncio.ensure_future(place.supervisor.count())
    await asyncio.sleep(0)
    given_up.cancel()  # one of several: the others still get theirs
    await asyncio.gather(given_up, return_exceptions=True)
    os.kill(place.pid, signal.SIGCONT)
    assert await waiting == has(0, 0)
    assert asked == [0]
    assert await place.supervisor.count() == has(0, 0)
