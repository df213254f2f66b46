"""A process that lives and does nothing is replaced; one that is slow once is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio

from kssl.fastpath.engines.aead import AeadEngine
from kssl.fastpath.ipc import watch as module
from kssl.fastpath.ipc.control import Counts
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.watch import MISSES, watch
from tests.fastpath.harness import Certificates, Place, process_exists, until
from tests.processes import halt

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.01)
    monkeypatch.setattr(module, "PATIENCE", 0.2)


@pytest_asyncio.fixture
async def place(certificates: Certificates, tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path, certificates.ecdsa)
    await place.start()
    yield place
    place.settle()
    await place.stop()


async def test_a_worker_that_stands_still_is_replaced(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    before = place.pid
    halt(before)
    await until(lambda: place.supervisor.restarts == 1)
    assert f"crypto worker {before} does not answer any more; it is replaced" in caplog.text
    await until(lambda: not process_exists(before))
    client, accepted = place.pair(AeadEngine)
    await client.handshake()
    await until(lambda: accepted.decided)
    assert accepted.failure is None


class Link:
    """Answers as it is told: True, False: never, or None: it died."""

    def __init__(self, *answers: bool | None) -> None:
        self.answers = list(answers)
        self.asked = 0

    def count(self) -> asyncio.Future[Counts | None]:
        future = asyncio.get_running_loop().create_future()
        answer = self.answers[self.asked] if self.asked < len(self.answers) else True
        self.asked += 1
        if answer is not False:
            future.set_result({} if answer else None)
        return future


async def watched(link: Link, *, excused: bool = False, rounds: int) -> int:
    """How often it was found to hang, while it was asked ``rounds`` times."""
    found: list[WorkerLink] = []
    asked = 0

    def excuse() -> bool:
        nonlocal asked
        asked += 1
        return excused

    task = asyncio.create_task(watch(lambda: cast(WorkerLink, link), excuse, found.append))
    await until(lambda: link.asked > rounds or (excused and asked > rounds))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return len(found)


@pytest.mark.parametrize(
    ("answers", "times"),
    [
        ((), 0),
        ((False, True, False, None, False, True), 0),
        ((False,) * MISSES, 1),
        ((True, *(False,) * MISSES, True), 1),
        ((False,) * 2 * MISSES, 2),
    ],
)
async def test_only_several_misses_in_a_row_count(
    answers: tuple[bool | None, ...], times: int
) -> None:
    assert await watched(Link(*answers), rounds=len(answers)) == times


async def test_one_that_loads_other_settings_may_take_its_time() -> None:
    link = Link(*(False,) * 10)
    assert await watched(link, excused=True, rounds=10) == 0
    assert link.asked == 0
