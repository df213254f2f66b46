"""The app behind everything that is measured: as light as there is."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import nginx
from bench.scenarios import Scenario
from proxy.demo.process import start_demo_app

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it


@dataclass(frozen=True, slots=True)
class Backend:
    """A running backend."""

    port: int
    kind: str
    config: str | None = None

    def path(self, scenario: Scenario) -> str:
        """Where it has the scenario's content."""
        if self.kind == "nginx":
            return scenario.path
        return f"/bytes/{scenario.size}"


@contextlib.contextmanager
def running(folder: Path, scenarios: Sequence[Scenario]) -> Iterator[Backend]:
    """nginx with files in memory where it is installed, else the demo app."""
    program = nginx.find()
    if program is None:
        with start_demo_app() as app:
            yield Backend(app.port, "demo app")
        return
    memory = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="kssl-bench-", dir=memory) as files:
        root = Path(files)
        for scenario in scenarios:
            (root / scenario.file_name).write_bytes(scenario.body())
        with nginx.backend(program, folder / "backend", root) as process:
            yield Backend(process.port, "nginx", process.config)
