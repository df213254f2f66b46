"""What is measured: running proxies and their processes by kind.

Another peer is another starter in `PEERS`.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from bench import nginx
from bench.errors import BenchError
from bench.proc import CpuTime, cpu_time_of
from proxy.spawn import ProxyStartError, spawn_proxy


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all subjects share, so that nothing else differs between them."""

    folder: Path
    upstream: int
    certificate: Path
    key: Path
    venv: Path | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A proxy that runs. ``pids`` by kind of process."""

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


@dataclass(frozen=True, slots=True)
class Peer:
    """A proxy of somebody else. ``missing`` says in words why it cannot run, or is None."""

    start: Starter
    missing: Callable[[Path | None], str | None]


def kssl(mode: str, version: str, arguments: Sequence[str] = ()) -> Starter:
    """Our own proxy in one mode."""

    @contextlib.contextmanager
    def start(around: Surroundings) -> Iterator[Subject]:
        options = ["--mode", mode, "--cert", str(around.certificate), "--key", str(around.key)]
        options += arguments
        state = around.folder / f"state-{mode}"
        target = f"127.0.0.1:{around.upstream}"
        # What it says of connections that the load cut off at the end of a round is of no
        # interest, unless it does not start.
        with (
            tempfile.TemporaryFile() as said,
            _told(said),
            spawn_proxy(target, *options, state_dir=state, stderr=said) as process,
        ):
            pids = {"front": [process.pid], "worker": process.worker_pids}
            settings = {"arguments": " ".join(arguments)}
            yield Subject(
                f"kssl {mode}", process.port, pids, version, settings,
                kind="kssl", mode=mode, hops=1 if mode == "user" else None,
            )  # fmt: skip

    return start


@contextlib.contextmanager
def _told(said: IO[bytes]) -> Iterator[None]:
    try:
        yield
    except ProxyStartError as error:
        said.seek(0)
        raise BenchError(f"{error}: {said.read().decode(errors='replace').strip()}") from None


def _nginx(name: str, more: str) -> Starter:
    @contextlib.contextmanager
    def start(around: Surroundings) -> Iterator[Subject]:
        program = nginx.find()
        assert program is not None, "asked `missing` before"
        with nginx.proxy(
            program,
            around.folder / name,
            upstream=around.upstream,
            certificate=around.certificate,
            key=around.key,
            more=more,
        ) as process:
            # The master does nothing while the worker serves.
            pids = {"front": process.workers}
            settings = {"config": process.config}
            yield Subject(name, process.port, pids, nginx.version(program), settings)

    return start


def _nginx_missing(_venv: Path | None = None) -> str | None:
    return None if nginx.find() else "nginx is not installed (Debian: apt install nginx-light)"


PEERS: dict[str, Peer] = {
    "nginx": Peer(_nginx("nginx", nginx.DEFAULT_BUFFERS), _nginx_missing),
    "nginx-large": Peer(_nginx("nginx-large", nginx.LARGE_BUFFERS), _nginx_missing),
}
