"""Starts `kssl serve` as a process of its own and waits until it accepts: for demonstrations,
benchmarks and tests."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kssl.fastpath.ipc.hardening import interpreter

_START_SECONDS = 30.0
_STOP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class ProxyProcess:
    """A running proxy. ``port`` is the listener's."""

    process: subprocess.Popen[bytes]
    url: str
    port: int
    ca: str | None
    engine: str
    pid: int
    worker_pids: list[int]
    filter_pids: list[int]  # none with one hop

    @property
    def pids(self) -> list[int]:
        """All processes of the proxy, as started; a restarted worker has a new one."""
        return [self.pid, *self.worker_pids, *self.filter_pids]


class ProxyStartError(RuntimeError):
    """The proxy ended before it was ready; str() has what it said."""


@contextlib.contextmanager
def spawn_proxy(
    target: str | None,
    *arguments: str,
    state_dir: Path,
    listen: str | None = "127.0.0.1:0",
    stderr: int | IO[bytes] | None = None,
    access_log: bool = False,
    program: Sequence[str] = ("kssl.proxy",),
    wrapper: Sequence[str] = (),
) -> Iterator[ProxyProcess]:
    """``kssl serve TARGET …`` until the block ends. Raises ProxyStartError.

    ``target`` None, ``listen`` None: the configuration file among the arguments says it.

    ``program``: another module than ``kssl.proxy`` that runs it, and that module's own arguments.
    ``wrapper``: a command that runs the command behind it, in the same process.
    """
    with tempfile.TemporaryDirectory(prefix="kssl-") as folder:
        ready = Path(folder) / "ready.json"
        command = [
            *wrapper, *interpreter(), "-m", *program, "serve",
            "--state-dir", str(state_dir), "--ready-file", str(ready), *arguments,
        ]  # fmt: skip
        if target is not None:
            command.append(target)
        if listen is not None:
            command += ["--listen", listen]
        if not access_log:
            command.append("--no-access-log")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=stderr)
        try:
            yield _wait_until_ready(process, ready)
        finally:
            _stop(process)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: Path) -> ProxyProcess:
    deadline = time.monotonic() + _START_SECONDS
    while not ready.exists():
        if process.poll() is not None:
            raise ProxyStartError(f"kssl serve ended with exit code {process.returncode}")
        if time.monotonic() > deadline:
            raise ProxyStartError(f"kssl serve was not ready after {_START_SECONDS:.0f} s")
        time.sleep(0.01)
    told = json.loads(ready.read_text())
    return ProxyProcess(
        process=process,
        url=told["url"],
        port=int(told["url"].rpartition(":")[2]),
        ca=told["ca"],
        engine=told["engine"],
        pid=told["pid"],
        worker_pids=told["worker_pids"],
        filter_pids=told["filter_pids"],
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
