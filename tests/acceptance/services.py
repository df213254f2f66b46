"""What a running service says of itself, and what the kernel says of its processes."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kssl.bench.proc import private_rss
from kssl.config.running import RunningService, running_services
from kssl.fastpath.ipc.hardening import interpreter
from kssl.proxy.service.ask import ask
from kssl.proxy.service.control import find_service
from kssl.proxy.service.spawn import ProxyProcess

_SECONDS = 30.0
_POLL = 0.02


class Running:
    """A proxy and its state folder, by which others find it."""

    def __init__(self, process: ProxyProcess, state: Path) -> None:
        self.process = process
        self.state = state
        self._record = _find(process, state)

    @property
    def port(self) -> int:
        return self.process.port

    @property
    def ca(self) -> str:
        assert self.process.ca is not None
        return self.process.ca

    def ask(self) -> dict[str, Any]:
        """The document of `kssl status`, without starting a process for it."""
        return ask(self.state, self._record)

    def status(self) -> dict[str, Any]:
        """The same by `kssl status --json`."""
        command = [*interpreter(), "-m", "kssl.proxy", "status", "--json"]
        command += ["--state-dir", str(self.state), "--pid", str(self.process.pid)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS)
        assert done.returncode == 0, done.stderr.decode()
        (document,) = json.loads(done.stdout)
        assert isinstance(document, dict)
        return document

    def wait_until_empty(self, seconds: float = _SECONDS) -> dict[str, Any]:
        """Until no connection of a client is left, here or at a worker; what it says then.

        Connections to https upstreams that are kept for the next request are not counted.
        """
        deadline = time.monotonic() + seconds
        while not empty(document := self.ask()):
            assert time.monotonic() < deadline, document
            time.sleep(_POLL)
        return document

    def descriptors(self) -> dict[int, int]:
        """Open ones, by process."""
        return {pid: len(os.listdir(f"/proc/{pid}/fd")) for pid in self.process.pids}

    def memory(self) -> list[int]:
        """What is in no file, in bytes: the front end's, then the worker's."""
        return [private_rss(pid) for pid in self.process.pids]


def _find(process: ProxyProcess, state: Path) -> RunningService:
    # The record by which it is found comes right behind the ready file, not before it.
    wait_for(lambda: any(each.pid == process.pid for each in running_services(state)), "its record")
    return find_service(state, process.pid)


def empty(document: dict[str, Any]) -> bool:
    """Whether a document of `kssl status` has no connection of a client left in it.

    In user mode a worker keeps connections to https upstreams too, but no more than are idle.
    """
    workers = document["workers"]
    kept = sum(upstream["idle"] for upstream in document["upstreams"])
    return (
        document["connections"] == {"open": 0, "closing": 0}
        and all(worker["handshakes"] == 0 for worker in workers)
        and sum(worker["connections"] for worker in workers) <= kept
    )


def wait_for(condition: Callable[[], bool], what: str, seconds: float = _SECONDS) -> None:
    """Looks at ``condition`` until it is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(_POLL)
