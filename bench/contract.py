"""What a subject of the benchmark is: a proxy that runs, ours or somebody else's."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from kssl.bench.proc import CpuTime, cpu_time_of


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all subjects share, so that nothing else differs between them.

    ``upstream`` is the backend's port on 127.0.0.1. ``venv`` is a virtual environment with the
    peers that are Python packages.
    """

    folder: Path
    upstream: int
    certificate: Path
    key: Path
    venv: Path | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A proxy that runs. ``pids`` has all its processes, by kind of process.

    ``kind`` is "kssl", "peer" or "floor" (a peer without TLS, which nobody can undercut);
    ``scheme`` is "https" or "http". ``mode``, ``engine`` and ``hops`` are kssl's alone.
    """

    name: str
    port: int
    pids: Mapping[str, Sequence[int]]
    version: str
    settings: Mapping[str, str] = field(default_factory=dict)
    kind: str = "peer"
    scheme: str = "https"
    mode: str | None = None
    engine: str | None = None
    hops: int | None = None

    def cpu(self) -> dict[str, CpuTime]:
        """CPU time so far, by kind of process."""
        return {kind: cpu_time_of(pids) for kind, pids in self.pids.items()}


Starter = Callable[[Surroundings], contextlib.AbstractContextManager[Subject]]


class Missing(Protocol):
    """Says in words why a peer cannot run, or None. ``venv`` as in `Surroundings`."""

    def __call__(self, venv: Path | None = None) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy of somebody else."""

    start: Starter
    missing: Missing
