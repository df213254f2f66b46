"""What is known about the services that run on one state folder: ``STATE/run/PID.json``.

A service writes its record once it accepts and removes it at its end. A record that a killed
service has left behind is told by the process's start time, so a reused number does not mislead.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from kssl.config import statedir
from kssl.config.errors import ConfigError
from kssl.config.parameter import Profile, Value

FOLDER = "run"
_LAST = "last-start"


class State(StrEnum):
    """What a service does with new connections, and with those that it has."""

    SERVING = "serving"
    DRAINING = "draining"  # a successor accepts; this one finishes what it has
    STOPPING = "stopping"  # nobody accepts


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningService:
    """A running service. `parameters` by registry name, as in force; `config`: its file or "";
    `profile`: a value of `Profile`."""

    pid: int
    started: int  # clock ticks after boot (proc(5) /proc/PID/stat, field 22)
    arguments: list[str]  # of `kssl serve`
    folder: str  # in which it was started
    config: str
    profile: str
    mode: str
    urls: list[str]
    parameters: Mapping[str, Value] = field(default_factory=dict)
    failure: str = ""  # "NUMBER WORDS": why the last restart or reload did not happen
    predecessor: int = 0  # the service that handed its sockets over to this one
    state: str = State.SERVING  # a value of `State`

    @property
    def where(self) -> str:
        return ", ".join(self.urls)

    def runs(self) -> bool:
        return start_time(self.pid) == self.started


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


def write_last_start(state_dir: Path, arguments: Sequence[str], folder: str) -> None:
    """What `kssl start` without arguments starts again. Raises ConfigError."""
    path = statedir.ensure_state_dir(state_dir / FOLDER) / _LAST
    statedir.write_private(path, json.dumps([list(arguments), folder]).encode())


def last_start(state_dir: Path) -> tuple[list[str], Path] | None:
    """Arguments of `kssl serve` and the folder it ran in; None if there was none."""
    content = statedir.read_private(state_dir / FOLDER / _LAST)
    try:
        arguments, folder = json.loads(content) if content is not None else (None, "")
    except ValueError:
        arguments, folder = None, ""
    return None if arguments is None else ([str(each) for each in arguments], Path(folder))


def running_services(state_dir: Path) -> list[RunningService]:
    """Those that accept connections, oldest first. Raises ConfigError when a record is not what
    we write."""
    return [each for each in all_services(state_dir) if each.state == State.SERVING]


def all_services(state_dir: Path) -> list[RunningService]:
    """Also those that only finish what they have. Raises ConfigError as `running_services`."""
    services = []
    for path in sorted((state_dir / FOLDER).glob("*.json")):
        content = statedir.read_private(path)
        if content is None:
            continue  # it ended meanwhile
        try:
            service = RunningService(**json.loads(content))
            Profile(service.profile)
            State(service.state)
        except (ValueError, TypeError):
            raise ConfigError(f"{path} is not a record of kssl's; remove it") from None
        if service.runs():
            services.append(service)
        else:
            statedir.remove(path)  # it was killed
    return sorted(services, key=lambda service: service.started)


def own_start_time() -> int:
    return start_time(os.getpid())
