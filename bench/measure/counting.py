"""What a request of kssl's costs in crossings to the worker, copies and system calls.

Counted in a pass of its own by `kssl.proxy.trace.counting`, because counting takes time: a proxy
with counters around its system calls, that writes their totals to a file when it gets SIGUSR1.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kssl.bench.errors import BenchError
from kssl.bench.subjects import Subject, Surroundings
from kssl.proxy.service.spawn import ProxyProcess, ProxyStartError, spawn_proxy

_MODULE = "kssl.proxy.trace.counting"
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Counts:
    """For each unit. ``frames``, ``sends`` and ``bytes`` cross between front end and worker, both
    ways; a send is a batch of frames. ``copied_bytes`` are those of send and recv of all processes,
    ``system_calls`` the sends and receives of the front end."""

    frames: float
    sends: float
    bytes: float
    copied_bytes: float
    system_calls: float


def missing() -> str | None:
    """Says in words why nothing can be counted, or None."""
    try:
        found = importlib.util.find_spec(_MODULE) is not None
    except ModuleNotFoundError:  # not even its package is there
        found = False
    return None if found else "crossings and copies not counted: this kssl has no kssl.proxy.trace"


class Counted:
    """A proxy with counters."""

    def __init__(self, process: ProxyProcess, file: Path, hops: int) -> None:
        self.port = process.port
        self._pid = process.pid
        self._file = file
        self._hops = hops
        self._totals: dict[str, int] = {}

    def begin(self) -> None:
        """Counts from here."""
        self._totals_since_last()

    def end(self) -> None:
        self._totals = self._totals_since_last()

    def per_unit(self, units: int) -> Counts:
        """Of what was counted between `begin` and `end`."""
        return per_unit(self._totals, units, self._hops)

    def _totals_since_last(self) -> dict[str, int]:
        self._file.unlink(missing_ok=True)
        os.kill(self._pid, signal.SIGUSR1)
        deadline = time.monotonic() + _ANSWER_SECONDS
        while not self._file.exists():
            if time.monotonic() > deadline:
                raise BenchError("the proxy with counters does not tell them")
            time.sleep(0.001)
        totals: dict[str, int] = json.loads(self._file.read_text())
        return totals


def per_unit(totals: dict[str, int], units: int, hops: int) -> Counts:
    """From the totals of `kssl.proxy.trace.counting`, which are the front end's.

    Each byte on the way to the worker is sent by one process and received by another, and with
    a process in between once more.
    """
    link_bytes = totals["link_bytes_in"] + totals["link_bytes_out"]
    link_calls = totals["link_sends"] + totals["link_recvs"]
    sides = ("client", "upstream")
    copied = sum(totals[f"{side}_bytes_in"] + totals[f"{side}_bytes_out"] for side in sides)
    calls = sum(totals[f"{side}_sends"] + totals[f"{side}_recvs"] for side in sides)
    return Counts(
        frames=(totals["link_frames_in"] + totals["link_frames_out"]) / units,
        sends=link_calls / units,
        bytes=link_bytes / units,
        copied_bytes=(copied + 2 * hops * link_bytes) / units,
        system_calls=(calls + link_calls) / units,
    )


@contextlib.contextmanager
def counted(subject: Subject, around: Surroundings) -> Iterator[Counted]:
    """The proxy of ``subject`` once more, with counters. Raises BenchError."""
    file = around.folder / "counts.json"
    hops = subject.hops or 1
    options = ["--mode", str(subject.mode), "--cert", str(around.certificate)]
    options += ["--key", str(around.key)]
    if hops > 1:
        options += ["--set", f"UserModeHops={hops}"]
    options += subject.settings.get("arguments", "").split()
    # What it says is of interest only if it does not start.
    with tempfile.TemporaryFile() as said:
        try:
            with spawn_proxy(
                f"127.0.0.1:{around.upstream}",
                *options,
                state_dir=around.folder / "state",
                stderr=said,
                program=(_MODULE, str(file)),
            ) as process:
                yield Counted(process, file, hops)
        except ProxyStartError as error:
            said.seek(0)
            why = said.read().decode(errors="replace").strip()
            raise BenchError(f"the proxy with counters: {error}: {why}") from error
