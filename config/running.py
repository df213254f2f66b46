"""What is known about the services that run on one state folder: ``STATE/run/PID.json``.

A service writes its record once it accepts and removes it at its end. A record that a killed
service has left behind is told by the process's start time, so a reused number does not mislead.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from config import statedir
from config.errors import ConfigError
from config.parameter import Value

FOLDER = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningService:
    """A running service. `parameters` by registry name, as in force; `config`: its file or ""."""

    pid: int
    started: int  # clock ticks after boot (proc(5) /proc/PID/stat, field 22)
    arguments: list[str]  # of `kssl serve`
    folder: str  # in which it was started
    config: str
    profile: str
    mode: str
    urls: list[str]
    parameters: Mapping[str, Value] = field(default_factory=dict)
    failure: str = ""  # why the last restart or reload did not happen; "" if none failed

    @property
    def where(self) -> str:
        return ", ".join(self.urls)


def start_time(pid: int) -> int:
    """0 if there is no such process, or it has ended and only waits to be reaped."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()  # the command in brackets may hold anything
    return 0 if fields[0] in "ZX" else int(fields[19])


def write_record(state_dir: Path, service: RunningService) -> None:
    """Raises ConfigError."""
    folder = statedir.ensure_state_dir(state_dir / FOLDER)
    statedir.write_private(folder / f"{service.pid}.json", json.dumps(asdict(service)).encode())


def remove_record(state_dir: Path, pid: int) -> None:
    """Raises ConfigError."""
    statedir.remove(state_dir / FOLDER / f"{pid}.json")


def running_services(state_dir: Path) -> list[RunningService]:
    """Those that run now, oldest first. Raises ConfigError when a record is not what we write."""
    services = []
    for path in sorted((state_dir / FOLDER).glob("*.json")):
        content = statedir.read_private(path)
        if content is None:
            continue  # it ended meanwhile
        try:
            service = RunningService(**json.loads(content))
        except (ValueError, TypeError):
            raise ConfigError(f"{path} is not a record of kssl's; remove it") from None
        if start_time(service.pid) == service.started:
            services.append(service)
    return sorted(services, key=lambda service: service.started)


def own_start_time() -> int:
    return start_time(os.getpid())
