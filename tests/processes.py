"""Processes that a test has halted."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

SECONDS = 60.0


def halt(pid: int) -> None:
    """Stop a process by SIGSTOP, and return when it has stopped: the signal alone leaves it some
    time on another core."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + SECONDS
    while not all(map(_halted, Path(f"/proc/{pid}/task").iterdir())):
        assert time.monotonic() < deadline, f"process {pid} does not stop"
        time.sleep(0.001)


def _halted(task: Path) -> bool:
    """Its state is the field behind the name, which may contain anything (proc(5))."""
    return (task / "stat").read_text().rpartition(")")[2].split()[0] in "TtZX"
