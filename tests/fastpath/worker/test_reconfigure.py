"""Other certificates for a worker that runs: for new connections at once, for the others never."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.x509.oid import NameOID

from kssl.fastpath.engines.aead import AeadEngine
from kssl.fastpath.engines.contract import Engine
from kssl.fastpath.ipc import processes
from kssl.fastpath.ipc import supervisor as module
from kssl.fastpath.ipc.frames import MAX_PAYLOAD, FrameType, pieces
from kssl.fastpath.ipc.supervisor import (
    Supervisor,
    WorkerRefusedError,
    WorkerSettings,
    _Configuration,
)
from tests.fastpath.engines.test_resumption import Browser
from tests.fastpath.harness import ENGINES, Place, until
from tests.fastpath.worker.visits import told_file, told_names, write_certificate
from tests.processes import halt

pytestmark = pytest.mark.asyncio

every_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [write_certificate(tmp_path / f"{name}.pem", name) for name in ("old", "new")]


@pytest_asyncio.fixture
async def place(files: list[Path], tmp_path: Path) -> AsyncIterator[Place]:
    """Serves `old` to everybody."""
    place = Place(tmp_path, (files[0], files[0]))
    await place.start()
    yield place
    place.settle()
    await place.stop()


def settings(place_dir: Path, *told: dict[str, Any], **names: int) -> WorkerSettings:
    """One endpoint whose default is the first."""
    tls = {"certificates": list(told), "endpoints": [{"names": names, "default": 0}]}
    return WorkerSettings(str(place_dir), True, tls)


async def served(place: Place, server_name: str = "", endpoint: int = 0) -> str:
    client, accepted = await place.connect(AeadEngine, server_name=server_name, endpoint=endpoint)
    certificate = client.ssl.get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    accepted.close()
    await client.receive_all()
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@every_engine
async def test_new_connections_get_the_new_one_and_the_others_go_on(
    engine: type[Engine], place: Place, files: list[Path], tmp_path: Path
) -> None:
    client, accepted = await place.connect(engine)
    assert await place.supervisor.reconfigure(settings(tmp_path, told_file(files[1]))) == {
        "ca": None,
        "warnings": [],
        "problems": [],
    }
    await client.send(b"request")
    await until(lambda: accepted.sink.data == b"request")
    accepted.write(b"reply")
    assert await client.receive_exactly(5) == b"reply"
    assert await served(place) == "new"
    assert place.supervisor.restarts == 0


async def test_a_handshake_that_is_under_way_ends_as_it_began(
    place: Place, files: list[Path], tmp_path: Path
) -> None:
    client, accepted = place.pair(AeadEngine)
    flight = client.first_flight()
    await client.send_raw(flight[:100])
    await until(lambda: accepted.handshake._sent or accepted.handshake._ahead)
    await place.supervisor.reconfigure(settings(tmp_path, told_file(files[1])))
    await client.send_raw(flight[100:])
    await client.handshake()
    await until(lambda: accepted.decided)
    certificate = client.ssl.get_peer_certificate(as_cryptography=True)
    assert certificate is not None
    assert certificate.subject.rfc4514_string() == "CN=old"


@every_engine
@pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
async def test_sessions_are_resumed(
    engine: type[Engine], tls13: bool, place: Place, files: list[Path], tmp_path: Path
) -> None:
    browser = Browser(place, engine, tls13, close_notify=True)
    assert not await browser.connect()
    await browser.close(clean=True)
    two = settings(tmp_path, told_file(files[0]), told_file(files[1]), other=1)
    await place.supervisor.reconfigure(two)
    assert await browser.connect()
    await browser.close(clean=False)
    await place.supervisor.reconfigure(settings(tmp_path, told_file(files[0])))
    await browser.done()
    assert not await browser.connect()
    browser.drop()


async def test_refused_with_every_problem_and_everything_stays(
    place: Place, files: list[Path], tmp_path: Path
) -> None:
    missing = [tmp_path / f"missing{number}.pem" for number in range(2)]
    bad = settings(tmp_path, told_file(files[1]), *map(told_file, missing), told_names("a.example"))
    for _ in range(2):
        with pytest.raises(WorkerRefusedError) as caught:
            await place.supervisor.reconfigure(bad)
        problems = caught.value.problems
        assert problems[:2] == [
            f"certificate file {path} does not exist; check the name" for path in missing
        ]
        assert "does not vouch for 'a.example'" in problems[2]
        assert len(problems) == 3
        assert str(caught.value) == f"{problems[0]} (and 2 more)"
        assert await served(place) == "old"
    place.kill_worker()
    await place.worker_is_lost()
    await place.worker_is_back()
    assert await served(place) == "old"


async def test_the_next_worker_has_what_was_accepted(
    place: Place, files: list[Path], tmp_path: Path
) -> None:
    await place.supervisor.reconfigure(settings(tmp_path, told_file(files[1])))
    place.kill_worker()
    await place.worker_is_lost()
    await place.worker_is_back()
    assert await served(place) == "new"


async def test_more_than_a_frame_can_hold(place: Place, files: list[Path], tmp_path: Path) -> None:
    names = {f"{'x' * 60}.site{number}.example": 1 for number in range(8000)}
    wanted = settings(tmp_path, told_file(files[0]), told_file(files[1]), **names)
    assert len(wanted.to_json()) > 2 * MAX_PAYLOAD
    await place.supervisor.reconfigure(wanted)
    assert await served(place, f"{'x' * 60}.site7999.example") == "new"
    assert await served(place, "other.example") == "old"
    missing = [told_file(tmp_path / ("m" * 200) / f"{number}") for number in range(1500)]
    with pytest.raises(WorkerRefusedError) as caught:
        await place.supervisor.reconfigure(settings(tmp_path, *missing))
    assert len("\n".join(caught.value.problems)) > MAX_PAYLOAD
    assert len(caught.value.problems) == 1500


async def test_an_endpoint_more_and_one_less(
    place: Place, files: list[Path], tmp_path: Path
) -> None:
    told = [told_file(path) for path in files]
    two = {"certificates": told, "endpoints": [{"names": {}, "default": at} for at in (0, 1)]}
    await place.supervisor.reconfigure(WorkerSettings(str(tmp_path), True, two))
    assert [await served(place, endpoint=at) for at in (0, 1)] == ["old", "new"]
    await place.supervisor.reconfigure(settings(tmp_path, told[0]))
    client, accepted = place.pair(AeadEngine, endpoint=1)
    await client.send_raw(client.first_flight())
    await until(lambda: accepted.decided)
    assert accepted.failure == "the address that the client connected to is served no more"


# -- at the same time ----------------------------------------------------------------------


async def test_one_after_the_other(place: Place, files: list[Path], tmp_path: Path) -> None:
    bad = settings(tmp_path, told_file(tmp_path / "missing.pem"))
    wanted = [
        settings(tmp_path, told_file(files[1])),
        bad,
        settings(tmp_path, told_names("a.localhost")),
    ]
    first, second, third = await asyncio.gather(
        *map(place.supervisor.reconfigure, wanted), return_exceptions=True
    )
    assert isinstance(first, dict)
    assert first["ca"] is None
    assert isinstance(second, WorkerRefusedError)
    assert isinstance(third, dict)
    assert third["ca"] == str(tmp_path / "ca.pem")
    assert await served(place) == "kssl development leaf"


async def test_while_there_is_no_worker(place: Place, files: list[Path], tmp_path: Path) -> None:
    place.kill_worker()
    await place.worker_is_lost()
    await place.supervisor.reconfigure(settings(tmp_path, told_file(files[1])))
    assert await served(place) == "new"


async def test_a_worker_that_dies_before_it_says_yes(
    place: Place, files: list[Path], tmp_path: Path
) -> None:
    halt(place.pid)
    asked = asyncio.ensure_future(
        place.supervisor.reconfigure(settings(tmp_path, told_file(files[1])))
    )
    await until(lambda: is_asked(place))
    place.kill_worker()
    with pytest.raises(WorkerRefusedError, match="died while it loaded; nothing has changed"):
        await asked
    await place.worker_is_back()
    assert await served(place) == "old"


def is_asked(place: Place) -> bool:
    """RECONFIGURE is out, and its answer waited for."""
    receiver = place.link._control.configuring
    return isinstance(receiver, _Configuration) and not receiver.answer.done()


async def test_no_worker_for_long(
    place: Place, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is gone, so it does not come up; whoever waits must hear of it."""
    aside = files[0].rename(tmp_path / "aside")
    os.kill(place.pid, signal.SIGKILL)
    await until(lambda: place.supervisor.link is None)
    monkeypatch.setattr(module, "_NEXT_LIMIT", 0.05)
    with pytest.raises(WorkerRefusedError, match="kssl restart"):
        await place.supervisor.reconfigure(settings(tmp_path, told_file(files[1])))
    aside.rename(files[0])
    await place.worker_is_back()
    assert await served(place) == "old"


async def test_one_that_does_not_answer_is_replaced(
    place: Place, files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    halt(place.pid)
    with monkeypatch.context() as patch:
        patch.setattr(module, "_START_LIMIT", 0.05)
        patch.setattr(processes, "_END_LIMIT", 0.05)
        with pytest.raises(WorkerRefusedError, match="nothing has changed"):
            await place.supervisor.reconfigure(settings(tmp_path, told_file(files[1])))
        assert place.supervisor.link is None
    await place.worker_is_back()
    assert await served(place) == "old"


async def test_a_call_that_is_cancelled_goes_on(
    place: Place, files: list[Path], tmp_path: Path
) -> None:
    """Or the next call would take the answer of this one for its own."""
    halt(place.pid)
    cancelled = asyncio.ensure_future(
        place.supervisor.reconfigure(settings(tmp_path, told_file(tmp_path / "missing.pem")))
    )
    await until(lambda: is_asked(place))
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    again = asyncio.ensure_future(
        place.supervisor.reconfigure(settings(tmp_path, told_file(files[1])))
    )
    await asyncio.sleep(0)
    os.kill(place.pid, signal.SIGCONT)
    assert (await again)["problems"] == []
    assert await served(place) == "new"


async def test_stop_meanwhile(place: Place, files: list[Path], tmp_path: Path) -> None:
    halt(place.pid)
    wanted = settings(tmp_path, told_file(files[1]))
    asked = asyncio.ensure_future(place.supervisor.reconfigure(wanted))
    await until(lambda: is_asked(place))
    stopping = asyncio.ensure_future(place.supervisor.stop())
    await until(asked.done)
    os.kill(place.pid, signal.SIGCONT)  # an answer would have come first
    await stopping
    with pytest.raises(WorkerRefusedError, match="is being stopped"):
        await asked
    with pytest.raises(WorkerRefusedError, match="is being stopped"):
        await place.supervisor.reconfigure(wanted)


async def test_what_cannot_change(place: Place, files: list[Path], tmp_path: Path) -> None:
    tls = settings(tmp_path, told_file(files[1])).tls
    for other in (
        WorkerSettings(str(tmp_path), False, tls),
        WorkerSettings(str(tmp_path / "other"), True, tls),
    ):
        with pytest.raises(RuntimeError, match="cannot change"):
            await place.supervisor.reconfigure(other)
    assert await served(place) == "old"


# -- the moment of READY -------------------------------------------------------------------


async def test_what_was_accepted_counts_from_the_moment_of_the_answer() -> None:
    """Whoever awaits it runs later, perhaps behind the start of another worker."""
    accepted: list[bool] = []
    waiting = _Configuration(
        asyncio.get_running_loop(), lost="lost", accepted=lambda: accepted.append(True)
    )
    [piece] = pieces(b'{"ca": null}')
    waiting.frame_received(FrameType.READY, memoryview(piece))
    assert accepted == [True]
    waiting.worker_lost()
    assert await waiting.answer == {"ca": None}


async def test_a_refusal_at_the_start_has_every_problem(tmp_path: Path) -> None:
    missing = [tmp_path / name for name in ("a.pem", "b.pem")]
    supervisor = Supervisor(settings(tmp_path, *map(told_file, missing)))
    with pytest.raises(WorkerRefusedError) as caught:
        await supervisor.start()
    assert [line.split()[2] for line in caught.value.problems] == [str(path) for path in missing]
    await supervisor.stop()
