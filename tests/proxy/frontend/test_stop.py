"""What a stopping service cuts: it does not look whole, and both logs have it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from kssl.proxy.frontend.front import Front
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.rig import Errors, Rig, wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide

every_mode = pytest.mark.parametrize("mode", ["kernel", "user"])

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"


@contextmanager
def own_rig(mode: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(mode, tmp_path)
    try:
        yield rig
    finally:
        rig.stop()


def app(side: UpstreamSide) -> None:
    """Begins each answer and does not go on; of /silent not even that."""
    head = side.read_head()
    if b" /tunnel " in head:
        side.send(SWITCH, b"part")
    elif b" /begun " in head:
        side.send(b"HTTP/1.1 200 OK\r\n\r\npart")
    side.read_to_end()


@every_mode
@pytest.mark.parametrize(("target", "status"), [(b"/begun", 200), (b"/silent", 499)])
def test_a_request_that_is_cut_is_in_both_logs(
    mode: str, target: bytes, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kssl.proxy.service.service.Service.stop_grace", 0.05)
    with own_rig(mode, tmp_path) as rig, Upstream(app) as upstream, rig.client() as client:
        rig.configure(port=upstream.port)
        client.send(request(b"GET", target))
        wait_for(lambda: b"GET " + target in upstream.received, "it is at the app")
        if status == 200:
            client.take_until(b"part\r\n")
        rig.wait(rig.service.stop())
        assert client.read_to_end() == (b"", "cut")
        (line,) = rig.log_lines
        assert b'"GET %b HTTP/1.1" %d ' % (target, status) in line
        (error,) = rig.errors.lines
        assert (error["reason"], error["status"]) == ("Connection_Dropped", status)
        assert error["uri"] == target


@every_mode
def test_a_part_of_a_head_is_in_the_error_log(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kssl.proxy.service.service.Service.stop_grace", 0.05)
    with own_rig(mode, tmp_path) as rig, rig.client() as client:
        rig.configure()
        client.send(b"GET /part HTTP/1.1\r\n")
        wait_for(lambda: any(not each.idle for each in list(rig.front.connections)), "it is here")
        rig.wait(rig.service.stop())
        (error,) = rig.errors.of("Connection_Dropped")
        assert error["uri"] == b"/part"
        assert rig.log_lines == []


@every_mode
def test_a_tunnel_does_not_end_as_if_the_app_had_ended_it(mode: str, tmp_path: Path) -> None:
    with own_rig(mode, tmp_path) as rig, Upstream(app) as upstream, rig.client() as client:
        rig.configure(port=upstream.port)
        client.send(request(b"GET", b"/tunnel", b"Upgrade: raw", b"Connection: Upgrade"))
        client.take_until(b"\r\n\r\npart")
        rig.wait(rig.service.stop())
        assert client.read_to_end() == (b"", "cut")
        (line,) = rig.log_lines
        assert b'"GET /tunnel HTTP/1.1" 101 4 ' in line
        assert not rig.errors.lines
        assert not rig.errors.unclean  # it was us


class Closing(Errors):
    """Knows what was written when it was closed."""

    at_its_end: int | None = None

    def close(self) -> None:
        if self.at_its_end is None:
            self.at_its_end = len(self.unclean)


@every_mode
def test_how_clients_answer_the_end_is_logged(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clients answer late where the machine is busy.
    monkeypatch.setattr("kssl.proxy.service.service.ANSWER_GRACE", 60.0)
    monkeypatch.setattr("kssl.fastpath.net.closing.LINGER", 60.0)
    errors, waits = Closing(), threading.Event()
    wait_until_closed = Front.wait_until_closed

    async def told(front: Front, seconds: float) -> None:
        waits.set()
        await wait_until_closed(front, seconds)

    monkeypatch.setattr(Front, "wait_until_closed", told)
    with own_rig(mode, tmp_path) as rig, ExitStack() as stack:
        rig.configure()
        rig.call(lambda: rig.write_into(rig.front.journal.access_log, errors))
        clients = [stack.enter_context(rig.client()) for _ in range(5)]
        wait_for(lambda: len(rig.front.connections) == len(clients), "all are accepted")
        wait_for(lambda: all(each._http for each in list(rig.front.connections)), "handshakes")
        stopped = asyncio.run_coroutine_threadsafe(rig.service.stop(), rig.loop)
        for client in clients:
            assert client.read_to_end() == (b"", "close_notify")
        wait_for(lambda: waits.is_set() or errors.at_its_end is not None, "nothing else is owed")
        for client in clients:
            client.fin()
        stopped.result(60)
    assert errors.at_its_end == len(clients)
