"""`spawn_proxy`: ready when it says so, gone when the block ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from kssl.proxy.service.spawn import ProxyStartError, spawn_proxy


def test_it_accepts_and_it_ends(tmp_path: Path) -> None:
    with spawn_proxy("9", "--workers", "2", state_dir=tmp_path) as proxy:
        assert proxy.pids == [proxy.pid, *proxy.worker_pids]
        assert len(proxy.pids) == 3
        assert proxy.url == f"https://localhost:{proxy.port}"
        with socket.create_connection(("127.0.0.1", proxy.port)):
            pass
    assert proxy.process.returncode == 0
    for pid in proxy.pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_it_ends_with_an_exception_too(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), spawn_proxy("9", state_dir=tmp_path) as proxy:
        raise ZeroDivisionError
    assert proxy.process.returncode == 0


def test_one_that_does_not_start(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(ProxyStartError, match="exit code 2"),
        spawn_proxy("nonsense", state_dir=tmp_path),
    ):
        pass
    assert "nonsense" in capfd.readouterr().err


def test_one_that_was_killed(tmp_path: Path) -> None:
    with spawn_proxy("9", state_dir=tmp_path, stderr=subprocess.DEVNULL) as proxy:
        os.kill(proxy.pid, signal.SIGKILL)
        proxy.process.wait(60)
    assert proxy.process.returncode == -signal.SIGKILL
