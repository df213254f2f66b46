"""Our own proxy as a subject, in one of its modes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from kssl.bench.contract import Starter, Subject, Surroundings
from kssl.bench.errors import BenchError
from kssl.config.table import PARAMETERS
from kssl.proxy.service.spawn import ProxyProcess, ProxyStartError, spawn_proxy

_HOPS = "UserModeHops"


def can_hop_twice() -> bool:
    """Whether this version has user mode with a second process on the way to the worker."""
    return any(row.name == _HOPS for row in PARAMETERS)


def kssl(mode: str, version: str, arguments: Sequence[str] = (), hops: int = 1) -> Starter:
    """kssl in one mode, with more arguments of `kssl serve`.

    ``hops`` is about user mode: 2 needs `can_hop_twice`. Starting raises BenchError.
    """
    name = f"kssl {mode}" if hops == 1 else f"kssl {mode} {hops} hops"

    @contextlib.contextmanager
    def start(around: Surroundings) -> Iterator[Subject]:
        options = ["--mode", mode, "--cert", str(around.certificate), "--key", str(around.key)]
        if hops > 1:
            options += ["--set", f"{_HOPS}={hops}"]
        options += arguments
        target = f"127.0.0.1:{around.upstream}"
        # What it says of connections that the load cut off at the end of a round is of no
        # interest, unless it does not start.
        with (
            tempfile.TemporaryDirectory(prefix="state-", dir=around.folder) as state,
            tempfile.TemporaryFile() as said,
            _told(said),
            spawn_proxy(target, *options, state_dir=Path(state), stderr=said) as process,
        ):
            yield Subject(
                name=name,
                port=process.port,
                pids=_pids(process),
                version=version,
                settings={"arguments": " ".join(arguments)},
                kind="kssl",
                mode=mode,
                engine=process.engine,
                hops=hops if mode == "user" else None,
            )

    return start


def _pids(process: ProxyProcess) -> dict[str, list[int]]:
    filters: list[int] = getattr(process, "filter_pids", [])
    between = {"filter": filters} if filters else {}
    return {"front": [process.pid], **between, "worker": process.worker_pids}


@contextlib.contextmanager
def _told(said: IO[bytes]) -> Iterator[None]:
    try:
        yield
    except ProxyStartError as error:
        said.seek(0)
        raise BenchError(f"{error}: {said.read().decode(errors='replace').strip()}") from None
