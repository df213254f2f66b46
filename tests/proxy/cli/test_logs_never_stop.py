"""`kssl serve` whose standard streams nobody reads, or that are closed."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kssl.config.running import running_services
from kssl.proxy.service.ask import ask
from tests.proxy.frontend.clients import Client
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream

SECONDS = 60.0


class Running:
    def __init__(self, process: subprocess.Popen[bytes], state: Path) -> None:
        self.process = process
        self._state = state
        wait_for(lambda: running_services(state) or process.poll() is not None, "it runs", SECONDS)
        (self._record,) = running_services(state)
        self._port = int(self._record.urls[0].rpartition(":")[2])
        self._context = ssl.create_default_context(cafile=state / "ca.pem")

    def client(self) -> Client:
        return Client(self._port, self._context)

    def say(self, data: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self._port)) as sock:
            sock.sendall(data)
            sock.recv(1)

    def status(self) -> dict[str, Any]:
        return ask(self._state, self._record)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


@contextmanager
def serving(app: Upstream, state: Path, *options: str, **streams: Any) -> Iterator[Running]:
    redirections = streams.pop("redirections", "")
    command = [
        sys.executable, "-m", "kssl.proxy", "serve", str(app.port), "--listen", "127.0.0.1:0",
        "--state-dir", str(state), *options,
    ]  # fmt: skip
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'exec "$@" {redirections}', "sh", *command], **streams
    )
    try:
        yield Running(process, state)
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def unread_pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


_QUERY = b"/?" + b"q" * 4000


@pytest.mark.parametrize("mode", ["kernel", "user"])
def test_nobody_reads_the_access_log_on_stderr(app: Upstream, tmp_path: Path, mode: str) -> None:
    """More than the pipe and the queue hold: the rest is counted, and nothing else happens."""
    requests = 2300  # of 4 KiB each
    with (
        unread_pipe() as (reading, writing),
        serving(app, tmp_path, "--mode", mode, stderr=writing) as running,
    ):
        with running.client() as client:
            for _ in range(requests):
                assert client.ask(b"GET", _QUERY).status == 200
        lost = running.status()["logs"]["lost"]
        assert 0 < lost["messages"] < requests
        assert lost["access"] == lost["messages"]  # the same stream
        assert running.stop() == 0
        assert os.read(reading, 1 << 16).startswith(b"kssl: https://localhost:")


def test_bad_hellos_leave_a_few_lines(app: Upstream, tmp_path: Path) -> None:
    hellos = 300
    with (
        unread_pipe() as (reading, writing),
        serving(app, tmp_path, "--no-access-log", stderr=writing) as running,
    ):
        for _ in range(hellos):
            running.say(b"\x01\x02\x03\x04\x05")
        left_out = running.status()["logs"]["left_out"]
        assert running.stop() == 0
        lines = os.read(reading, 1 << 16).decode().splitlines()
    said = [line for line in lines if "bytes that are neither TLS nor HTTP" in line]
    told = [line.split()[2] for line in lines if line.startswith("kssl: BadRequest: ")]
    assert len(said) >= 20
    assert len(said) + sum(map(int, told)) == hellos
    # A slow machine takes several intervals of ten seconds, each with lines of its own.
    assert left_out["messages"].get("BadRequest", 0) == hellos - len(said)
    errors = "".join(path.read_text() for path in (tmp_path / "LogFiles/HTTPERR").iterdir())
    written = sum(" BadRequest " in line and line[0] != "#" for line in errors.splitlines())
    assert left_out["errors"].get("BadRequest", 0) == hellos - written


@pytest.mark.parametrize("redirections", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams(app: Upstream, tmp_path: Path, redirections: str) -> None:
    with serving(app, tmp_path, redirections=redirections, stderr=subprocess.DEVNULL) as running:
        with running.client() as client:
            assert client.ask().body == b"abc"
        running.say(b"\x01\x02\x03\x04\x05")
        opened = {os.readlink(f"/proc/{running.process.pid}/fd/{fd}") for fd in (0, 1, 2)}
        if redirections == "<&- >&- 2>&-":
            assert opened == {os.devnull}
        for worker in running.status()["workers"]:
            for fd in (0, 1, 2):
                assert os.path.exists(f"/proc/{worker['pid']}/fd/{fd}")
        assert running.stop() == 0


def test_the_access_log_on_stdout(app: Upstream, tmp_path: Path) -> None:
    file = tmp_path / "kssl.toml"
    file.write_text(
        f'[[site]]\nupstreams = ["http://127.0.0.1:{app.port}"]\n[logs]\naccess = "stdout"\n'
    )
    file.chmod(0o600)
    state = tmp_path / "state"
    command = [
        sys.executable, "-m", "kssl.proxy", "serve", "--config", str(file), "--listen",
        "127.0.0.1:0",
        "--state-dir", str(state),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=Path.cwd(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        with Running(process, state).client() as client:
            assert client.ask().body == b"abc"
    finally:
        process.terminate()
        out, error = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert out.startswith(b"127.0.0.1 - - [")
    assert out.count(b"\n") == 1
    assert b"GET" not in error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kssl.toml", "state"]


def test_a_dead_worker_s_words_do_not_stop_the_next(app: Upstream, tmp_path: Path) -> None:
    """The pipe is full; the front end, the old worker and the new one all have something to say."""
    with (
        unread_pipe() as (_, writing),
        serving(app, tmp_path, "--no-access-log", stderr=writing) as running,
    ):
        os.set_blocking(writing, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(writing, b"x" * 4096)
        os.set_blocking(writing, True)
        (worker,) = running.status()["workers"]
        os.kill(worker["pid"], signal.SIGKILL)
        wait_for(lambda: running.status()["workers"][0]["restarts"] == 1, "another worker", SECONDS)
        with running.client() as client:
            assert client.ask().body == b"abc"
        assert running.stop() == 0
