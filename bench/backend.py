"""The app behind all of them: as light as there is."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kssl.bench import echo, nginx
from kssl.bench.scenarios import VARIED, Scenario
from kssl.proxy.demo.process import start_demo_app

_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it


@dataclass(frozen=True, slots=True)
class Backend:
    """A running backend."""

    port: int
    kind: str
    version: str
    config: str | None = None

    def path(self, scenario: Scenario) -> str:
        """Where it answers to the scenario's requests."""
        if self.kind != "nginx":
            return "/upload" if scenario.uploads else f"/bytes/{scenario.size}"
        if scenario.uploads:
            return "/form" if scenario.is_form else "/upload"
        return f"{VARIED}{scenario.file_name}" if scenario.varied else f"/{scenario.file_name}"


@contextlib.contextmanager
def running(folder: Path, scenarios: Sequence[Scenario]) -> Iterator[Backend]:
    """nginx with files in memory where it is installed, else the demo app."""
    program = nginx.find()
    if program is None:
        with start_demo_app() as app:
            yield Backend(app.port, "demo app", "")
        return
    memory = _MEMORY if _MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="kssl-bench-", dir=memory) as files:
        root = Path(files)
        for scenario in scenarios:
            if not scenario.uploads:
                (root / scenario.file_name).write_bytes(scenario.body())
        with nginx.backend(program, folder / "backend", root) as process:
            yield Backend(process.port, "nginx", nginx.version(program), process.config)


@contextlib.contextmanager
def echoing() -> Iterator[Backend]:
    """Sends WebSocket messages back, on any path."""
    with echo.running() as port:
        yield Backend(port, "echo", "")
