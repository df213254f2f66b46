"""kssl.proxy.service.live: a running `kssl serve` that gets signals."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kssl.config import statedir
from kssl.config.parameter import Profile
from kssl.config.parameters import Parameters
from kssl.config.running import RunningService, State, running_services
from kssl.proxy.service.live import Live
from kssl.proxy.service.spawn import spawn_proxy
from tests.proxy.frontend.upstreams import Upstream, answer_all, response

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


class Running:
    """One `kssl serve`, and what it has handed over to."""

    def __init__(self, state_dir: Path, port: int, pid: int, log: Path) -> None:
        self.state_dir = state_dir
        self.port = port
        self.pid = pid
        self.log = log

    def records(self) -> list[RunningService]:
        return running_services(self.state_dir)

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, f"{what}: {self.log.read_text()}"
            time.sleep(0.01)

    def wait_for_successor(self) -> int:
        self.wait(
            lambda: [each.pid for each in self.records()] not in ([], [self.pid]), "successor"
        )
        self.wait(lambda: len(self.records()) == 1, "one service")
        return self.records()[0].pid

    def children(self) -> list[int]:
        """Those of the service that are services themselves; a thread may have made them."""
        files = Path(f"/proc/{self.pid}/task").glob("*/children")
        return [int(pid) for file in files for pid in _text(file).split() if _is_service(int(pid))]

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 10)

    def tls(self, sock: socket.socket) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.state_dir / "ca.pem"))
        return context.wrap_socket(sock, server_hostname="localhost")


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:  # the thread has ended
        return ""


def _is_service(pid: int) -> bool:
    try:
        return b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def ask(client: ssl.SSLSocket) -> bytes:
    client.sendall(REQUEST)
    answer = b""
    while not answer.endswith(b"\r\n\r\nabc"):
        received = client.recv(65536)
        assert received, answer
        answer += received
    return answer


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    state_dir, log = tmp_path / "state", tmp_path / "log"
    with (
        Upstream(answer_all(response(b"abc"))) as upstream,
        open(log, "wb") as stderr,
        spawn_proxy(str(upstream.port), state_dir=state_dir, stderr=stderr) as proxy,
    ):
        service = Running(state_dir, proxy.port, proxy.pid, log)
        service.wait(lambda: bool(service.records()), "its record")
        try:
            yield service
        finally:
            for each in service.records():
                if each.pid != proxy.pid:
                    command = ["stop", "--pid", str(each.pid), "--state-dir", str(state_dir)]
                    subprocess.run([sys.executable, "-m", "kssl.proxy", *command], check=True)


def test_a_connection_that_has_not_begun_is_served_after_a_restart(running: Running) -> None:
    """Accepted by the old service, which then hands over; the ClientHello comes later."""
    waiting, keeps = running.connect(), running.tls(running.connect())
    with waiting, keeps:
        ask(keeps)  # behind the other, so that one is accepted
        os.kill(running.pid, signal.SIGUSR2)
        running.wait_for_successor()
        with running.tls(waiting) as late:
            assert b"Connection: close" in ask(late)
        assert b"Connection: close" in ask(keeps)


class Quiet:
    """A service that does nothing; `Live` only looks at its record and its sockets."""

    def __init__(self, state_dir: Path) -> None:
        self.options = SimpleNamespace(state_dir=state_dir)
        self.configuration = SimpleNamespace(path=None, profile=Profile.NATIVE)
        self.front = SimpleNamespace(mode="kernel", parameters=Parameters())
        self.urls: list[str] = []
        self.has_state_dir = True
        self.reloads = 0

    def listening_sockets(self) -> dict[str, list[socket.socket]]:
        return {}

    async def reload(self, configuration: object) -> list[str]:
        self.reloads += 1
        return []


def test_two_signals_make_one_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What comes behind a restart that has happened is for nobody, a reload too."""
    state_dir = statedir.ensure_state_dir(tmp_path / "state")
    service, handed_over, launched = Quiet(state_dir), asyncio.Event(), []

    def launch(*_: object, **__: object) -> Any:
        launched.append(1)
        return SimpleNamespace(pid=1)

    monkeypatch.setattr("kssl.proxy.service.live.launch", launch)

    async def signals() -> None:
        live = Live(
            service,  # type: ignore[arg-type]
            arguments=["serve"],
            reread=lambda: None,  # type: ignore[arg-type, return-value]
            handed_over=handed_over.set,
            predecessor=0,
        )
        live.found()
        live.reload()
        live.restart()
        live.restart()
        live.reload()
        await handed_over.wait()
        live.close(State.DRAINING)
        live.reload()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*left, return_exceptions=True)

    asyncio.run(signals())
    assert (len(launched), service.reloads) == (1, 1)
    assert running_services(state_dir) == []
    assert "no re" not in caplog.text


def test_a_stop_in_the_middle_of_a_restart_leaves_no_service(running: Running) -> None:
    os.kill(running.pid, signal.SIGUSR2)
    running.wait(lambda: bool(running.children()), "the successor's process")
    os.kill(running.pid, signal.SIGTERM)
    running.wait(lambda: not _is_service(running.pid), "the end")
    running.wait(lambda: running.records() == [], "no other service")
    with pytest.raises(ConnectionRefusedError):
        running.connect()
