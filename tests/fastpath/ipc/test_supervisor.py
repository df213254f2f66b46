"""The worker's life: start, death, restart; and what that does to connections.

Signals go to processes that the test itself started.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from kssl.fastpath.engines.aead import AeadEngine
from kssl.fastpath.engines.contract import Engine
from kssl.fastpath.engines.worker import WorkerEngine
from kssl.fastpath.ipc import link as link_module
from kssl.fastpath.ipc.frames import HEADER, FrameType, append, parse
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.supervisor import Supervisor, WorkerRefusedError
from tests.fastpath.client import Client
from tests.fastpath.harness import (
    ENGINES,
    Accepted,
    Certificates,
    Place,
    process_exists,
    until,
    worker_settings,
)
from tests.processes import halt

pytestmark = pytest.mark.asyncio

every_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)

LONG = bytes(range(256)) * 800


@pytest_asyncio.fixture
async def place(certificates: Certificates, tmp_path: Path) -> AsyncIterator[Place]:
    """A worker of the test's own, for it will suffer."""
    place = Place(tmp_path, certificates.ecdsa)
    await place.start()
    yield place
    place.settle()
    await place.stop()


async def stopped_with_client_hello(place: Place, part: slice) -> tuple[Client, Accepted, bytes]:
    """A worker that stands still with (part of) a ClientHello in its hands; the whole flight."""
    halt(place.pid)
    client, accepted = place.pair(AeadEngine)
    flight = client.first_flight()
    await client.send_raw(flight[part])
    await until(lambda: len(accepted.handshake._sent) == len(flight[part]) or retried(accepted))
    await asyncio.sleep(0)  # the batch is written at the end of the turn
    return client, accepted, flight


def retried(accepted: Accepted) -> bool:
    """The first bytes came when BEGIN was out already: they wait for its answer."""
    return bool(accepted.handshake._ahead)


async def finish(client: Client, accepted: Accepted) -> None:
    await client.handshake()
    await until(lambda: accepted.decided)
    assert accepted.failure is None
    await client.send(b"request")
    await until(lambda: accepted.sink.data == b"request")


# -- dying and coming back -----------------------------------------------------------------


async def test_another_worker_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for but the start of the process, at the first try."""
    monkeypatch.setattr("kssl.fastpath.ipc.supervisor._SHORT_LIFE", 0.0)
    monkeypatch.setattr("kssl.fastpath.ipc.supervisor._PAUSE", 3600.0)
    for number in range(3):
        pid = place.pid
        place.kill_worker()
        await place.worker_is_lost()
        await place.worker_is_back()
        await until(lambda number=number: place.supervisor.restarts == number + 1)  # type: ignore[misc]
        assert place.pid != pid
        assert not process_exists(pid)


async def test_kernel_mode_goes_on_without_losing_a_byte(place: Place) -> None:
    client, accepted = await place.connect(AeadEngine, buffers=64 * 1024)
    writing = asyncio.ensure_future(accepted.write_all(LONG * 10))
    sending = asyncio.ensure_future(client.send(LONG * 3))
    half = await client.receive_exactly(len(LONG))
    place.kill_worker()
    await place.worker_is_lost()
    rest = await client.receive_exactly(len(LONG) * 9)
    await place.worker_is_back()
    await writing
    await sending
    assert half + rest == LONG * 10
    await until(lambda: accepted.sink.data == LONG * 3)
    accepted.close()
    assert await client.receive_all() == b""
    assert client.close_notify


async def test_user_mode_fails_and_cannot_be_taken_for_an_end(place: Place) -> None:
    client, accepted = await place.connect(WorkerEngine)
    client.go_raw()
    accepted.write(b"half of the re")
    await client.read_raw(14)
    place.kill_worker()
    assert await client.read_raw_until_end() == "reset"
    assert not client.reader.alerts
    [reason] = accepted.sink.failed
    assert "crypto worker died" in reason
    accepted.write(b"more")
    accepted.close()


async def test_user_mode_closing_with_everything_sealed_goes_on(place: Place) -> None:
    client, accepted = await place.connect(WorkerEngine, buffers=32 * 1024)
    client.go_raw()
    accepted.write(LONG * 5)
    accepted.close()
    # The worker has sealed it all once the engine has nothing left there.
    await until(lambda: accepted.engine.backlog == accepted.channel.backlog)
    await until(lambda: accepted.engine._when_finished is None)  # type: ignore[attr-defined]
    assert accepted.channel.backlog
    place.kill_worker()
    await place.worker_is_lost()
    assert await client.read_raw_until_end() == "fin"
    assert client.reader.data == LONG * 5
    assert client.reader.alerts == [(1, 0)]


async def test_user_mode_closing_with_something_unsealed_resets(place: Place) -> None:
    client, accepted = await place.connect(WorkerEngine)
    client.go_raw()
    halt(place.pid)
    accepted.write(b"never sealed")
    accepted.close()
    place.kill_worker()
    assert await client.read_raw_until_end() == "reset"
    await accepted.gone()


@every_engine
async def test_a_handshake_waits_for_the_next_worker(engine: type[Engine], place: Place) -> None:
    place.kill_worker()
    await place.worker_is_lost()
    client, accepted = place.pair(engine)
    await finish(client, accepted)


async def test_a_client_that_gives_up_waiting(place: Place) -> None:
    place.kill_worker()
    await place.worker_is_lost()
    client, accepted = place.pair(AeadEngine)
    await client.send_raw(client.first_flight()[:50])
    client.send_fin()
    await until(lambda: accepted.decided)
    assert accepted.failure == "client closed during the handshake"
    await place.worker_is_back()
    await finish(*place.pair(AeadEngine))


@pytest.mark.parametrize("part", [slice(None), slice(0, 100)], ids=["whole", "a part"])
async def test_a_client_hello_at_the_dead_worker_is_replayed(place: Place, part: slice) -> None:
    client, accepted, flight = await stopped_with_client_hello(place, part)
    place.kill_worker()
    await place.worker_is_lost()
    await place.worker_is_back()
    if part.stop is not None:
        await client.send_raw(flight[part.stop :])
    await finish(client, accepted)


async def test_it_is_not_replayed_again(place: Place) -> None:
    """Or a ClientHello that kills the worker would do it for ever."""
    client, accepted, _ = await stopped_with_client_hello(place, slice(None))
    place.kill_worker()
    await place.worker_is_lost()
    place.supervisor.when_ready(lambda: halt(place.pid))
    await place.worker_is_back()
    place.kill_worker()
    await until(lambda: accepted.decided)
    assert accepted.failure == "crypto worker died in the middle of the handshake"
    assert await client.receive_raw() == b"\x15\x03\x03\0\2\2\x50"  # internal_error
    assert not await client.receive_raw()
    await place.worker_is_back()
    await finish(*place.pair(AeadEngine))


async def test_after_a_flight_only_that_worker_could_go_on(place: Place) -> None:
    client, accepted = place.pair(AeadEngine)
    await client.send_raw(client.first_flight())
    assert await client.receive_raw()
    place.kill_worker()
    await until(lambda: accepted.decided)
    assert accepted.failure == "crypto worker died in the middle of the handshake"
    client.send_fin()
    await accepted.gone()


# -- starting and stopping -----------------------------------------------------------------


async def refusal(tmp_path: Path, certificate: Path, key: Path | None) -> str:
    supervisor = Supervisor(worker_settings(tmp_path, (certificate, key)))
    with pytest.raises(WorkerRefusedError) as caught:
        await supervisor.start()
    assert supervisor.link is None
    assert supervisor.pid is not None
    assert not process_exists(supervisor.pid)
    await supervisor.stop()
    return str(caught.value)


async def test_a_missing_certificate(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    said = await refusal(tmp_path, missing, None)
    assert said == f"certificate file {missing} does not exist; check the name"


async def test_a_key_of_another_certificate(tmp_path: Path, certificates: Certificates) -> None:
    said = await refusal(tmp_path, certificates.ecdsa[0], certificates.rsa[1])
    assert "does not belong to the certificate" in said
    assert str(certificates.rsa[1]) in said
    assert "\n" not in said


async def test_what_was_loaded_is_told(tmp_path: Path) -> None:
    supervisor = Supervisor(worker_settings(tmp_path))
    assert await supervisor.start() == {
        "ca": str(tmp_path / "ca.pem"),
        "warnings": [],
        "problems": [],
    }
    await supervisor.stop()


async def test_stop_leaves_no_process(place: Place) -> None:
    pid = place.pid
    await place.supervisor.stop()
    assert not process_exists(pid)
    assert place.supervisor.restarts == 0


async def test_stop_while_another_one_starts(place: Place) -> None:
    place.kill_worker()
    await place.worker_is_lost()
    await place.supervisor.stop()
    assert not process_exists(place.pid)


async def test_a_worker_without_a_front_end_ends(place: Place) -> None:
    pid = place.pid
    place.link.close()
    await until(lambda: not process_exists(pid))


async def test_ctrl_c_is_the_front_ends(place: Place) -> None:
    os.kill(place.pid, signal.SIGINT)
    await finish(*place.pair(AeadEngine))
    assert place.supervisor.restarts == 0


# -- nonsense on the link ------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unknown type", "too long"])
async def test_nonsense_kills_the_worker_and_not_the_front_end(place: Place, kind: str) -> None:
    client, accepted = await place.connect(AeadEngine)
    if kind == "unknown type":
        place.link.send(99, 1, b"x")  # type: ignore[arg-type]
    else:
        place.link._batch += HEADER.pack(1 << 30, 1, FrameType.OPEN)
        place.link.send(FrameType.OPEN, 1, b"")
    await place.worker_is_lost()
    await client.send(b"still here")
    await until(lambda: accepted.sink.data == b"still here")
    await place.worker_is_back()
    await finish(*place.pair(WorkerEngine))


class Noted:
    """A receiver on a link without a worker."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.frames: list[tuple[int, bytes]] = []
        self.lost = 0
        self._breaks = breaks

    def frame_received(self, kind: int, payload: memoryview) -> None:
        self.frames.append((kind, bytes(payload)))
        if self._breaks:
            raise RuntimeError("a bug of one connection")

    def worker_lost(self) -> None:
        self.lost += 1


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(60)
        yield ours, theirs


async def test_nonsense_from_the_worker_is_its_end(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    lost: list[WorkerLink] = []
    link = WorkerLink(asyncio.get_running_loop(), ends[0], lost.append)
    noted = Noted()
    identifier = link.open(noted)
    batch = bytearray()
    append(batch, FrameType.OPENED, identifier, b"good")
    ends[1].sendall(bytes(batch) + b"\xff" * 20)
    await until(lambda: lost)
    assert noted.frames == [(FrameType.OPENED, b"good")]
    assert noted.lost == 1
    assert link.lost
    assert ends[1].recv(1) == b""


async def test_a_bug_of_one_connection_does_not_stop_the_others(
    ends: tuple[socket.socket, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    link = WorkerLink(asyncio.get_running_loop(), ends[0], lambda link: None)
    broken, fine = Noted(breaks=True), Noted()
    batch = bytearray()
    for receiver in (broken, fine):
        append(batch, FrameType.OPENED, link.open(receiver), b"data")
    ends[1].sendall(batch)
    await until(lambda: fine.frames)
    ends[1].sendall(batch)
    await until(lambda: len(fine.frames) == 2)
    assert len(broken.frames) == 2
    assert "a bug of one connection" in caplog.text
    link.close()


async def test_frames_for_nobody_are_dropped(ends: tuple[socket.socket, socket.socket]) -> None:
    link = WorkerLink(asyncio.get_running_loop(), ends[0], lambda link: None)
    noted = Noted()
    first, second = link.open(Noted()), link.open(noted)
    link.end(first, resumable=True)
    link.end(first, resumable=True)
    batch = bytearray()
    append(batch, FrameType.OPENED, first, b"late")
    append(batch, FrameType.OPENED, second, b"data")
    ends[1].sendall(batch)
    await until(lambda: noted.frames)
    ends[1].setblocking(False)
    sent = await asyncio.get_running_loop().sock_recv(ends[1], 1000)
    assert list(parse(bytearray(sent), len(sent))) == [(FrameType.END, first, 9, 10)]
    link.close()
    assert noted.lost == 0


# -- secrets -------------------------------------------------------------------------------


@every_engine
@pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
async def test_what_the_worker_tells_about_keys(
    engine: type[Engine],
    tls13: bool,
    place: Place,
    certificates: Certificates,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = bytearray()
    established: list[bytes] = []

    def listen(buffer: memoryview, end: int) -> Iterator[Any]:
        for frame in parse(buffer, end):
            kind, _, start, stop = frame
            if kind == FrameType.ESTABLISHED:
                established.append(bytes(buffer[start:stop]))
            else:
                heard.extend(buffer[start:stop])
            yield frame

    monkeypatch.setattr(link_module, "parse", listen)
    client, accepted = await place.connect(engine, tls13=tls13)
    client.go_raw()
    await client.send_raw(client.forger.data(b"request"))
    await until(lambda: accepted.sink.data)
    accepted.write(b"reply")
    await client.read_raw(5)
    traffic_keys = [client.forger.keys.key, client.reader.first_key]
    key = load_pem_private_key(certificates.ecdsa[1].read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    private = key.private_numbers().private_value.to_bytes(32, "big")
    [handover] = established
    everything = bytes(heard) + handover
    assert private not in everything
    assert private[::-1] not in everything
    for secret in traffic_keys:
        assert secret not in heard
        assert (secret in handover) is engine.kernel_mode
    assert bool(accepted.keys) is engine.kernel_mode
