"""The app's process: it starts, it stops, and it never stays behind."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from kssl.proxy.demo.process import DemoProcess, DemoStartError, start_demo_app


def _descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def _wait_end(pid: int, seconds: float) -> bool:
    """Wait for the end of a process that need not be our child."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)


def test_stop_leaves_nothing() -> None:
    before = _descriptors()
    demo = start_demo_app()
    with socket.create_connection(("127.0.0.1", demo.port), timeout=60):
        pass
    demo.stop()
    assert demo.process.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", demo.port), timeout=60)
    assert _descriptors() <= before  # those of earlier tests may go
    demo.stop()


def test_stop_with_a_download_under_way(capfd: pytest.CaptureFixture[str]) -> None:
    with start_demo_app() as demo:
        reader = socket.create_connection(("127.0.0.1", demo.port), timeout=60)
        reader.sendall(b"GET /bytes/1G HTTP/1.1\r\nHost: app\r\n\r\n")
        assert reader.recv(1024)
    reader.close()
    assert demo.process.returncode == 0
    assert capfd.readouterr() == ("", "")


def test_a_port_in_use(demo: DemoProcess, capfd: pytest.CaptureFixture[str]) -> None:
    before = _descriptors()
    with pytest.raises(DemoStartError):
        start_demo_app(demo.port)
    assert "Address already in use" in capfd.readouterr().err
    assert _descriptors() <= before  # those of earlier tests may go


def test_the_app_dies_with_its_parent() -> None:
    code = (
        "from kssl.proxy.demo.process import start_demo_app; import time\n"
        "print(start_demo_app().process.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        assert not _wait_end(pid, 0)
        parent.kill()
        parent.wait()
        assert _wait_end(pid, 10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_by_hand(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "kssl.proxy.demo.server"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b"http://127.0.0.1:")
        process.send_signal(number)
        assert process.communicate(timeout=60) == (b"", b"")
    assert process.returncode == 0


def test_a_terminals_ctrl_c_does_not_reach_the_app(demo: DemoProcess) -> None:
    assert os.getpgid(demo.process.pid) != os.getpgid(0)


def test_another_proxy_package_in_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "proxy").mkdir()
    (tmp_path / "proxy" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with start_demo_app() as demo:
        assert demo.port
