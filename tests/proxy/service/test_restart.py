"""`restart` returns the successor once whoever connects meets nobody else."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from kssl.config import running
from kssl.config.running import RunningService
from kssl.proxy.service import control


def record(pid: int, predecessor: int = 0) -> RunningService:
    return RunningService(
        pid=pid, started=running.start_time(pid), arguments=["8000"], folder="/", config="",
        profile="native", mode="kernel", urls=[], predecessor=predecessor,
    )  # fmt: skip


def test_the_old_one_has_left_the_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The successor accepts a moment before it tells the old one so: both do meanwhile."""
    old, new = record(os.getpid()), record(os.getppid(), predecessor=os.getpid())
    running.write_record(tmp_path, old)
    monkeypatch.setattr(control, "_signal", lambda *signalled: running.write_record(tmp_path, new))
    polled = []

    def pause(seconds: float) -> None:
        polled.append(len(running.running_services(tmp_path)))
        if len(polled) == 3:
            running.remove_record(tmp_path, old.pid)

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=pause)
    monkeypatch.setattr(control, "time", clock)
    assert control.restart(tmp_path, old).pid == new.pid
    assert polled == [2, 2, 2]
