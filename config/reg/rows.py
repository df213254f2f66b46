"""What `kssl reg query` shows: each parameter's value, where it comes from, and what is pending."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kssl.config.parameter import Parameter, Profile, Value
from kssl.config.parameters import parse_assignments
from kssl.config.running import RunningService
from kssl.config.sources import DEFAULT, ENVIRONMENT, FILE, PREFIX, from_environment, resolve
from kssl.config.table import PARAMETERS


@dataclass(frozen=True, slots=True)
class Row:
    """`value` is in force (in the running service, if one runs); `pending` will be after its
    restart, None if that is the same. `min` and `max` are None for texts."""

    name: str
    value: Value
    default: Value
    min: int | None
    max: int | None
    unit: str
    source: str
    pending: Value | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Values by registry name, the later ones stronger."""

    profile: Profile
    file: Mapping[str, Value]
    environment: Mapping[str, Value]
    command_line: Mapping[str, Value]

    def resolve(self) -> tuple[dict[str, Value], dict[str, str]]:
        """The value and the source of each. Raises ConfigError."""
        parameters, sources = resolve(
            self.profile,
            file=self.file,
            environment=self.environment,
            command_line=self.command_line,
        )
        return parameters.by_name, sources


def rows(layers: Layers, service: RunningService | None) -> list[Row]:
    """One for each parameter, in the order of the table. `layers` are as they are now, which is
    what `service` will see when it starts again. Raises ConfigError."""
    values, sources = layers.resolve()
    made = []
    for row in PARAMETERS:
        name, pending = row.name, None
        value, source = values[name], sources[name]
        default = row.default_in(layers.profile)
        if service is not None and name in service.parameters:
            running = service.parameters[name]
            if running != value:
                pending, value = value, running
                source = _source_then(row, running, layers)
        least, most = (None, None) if row.is_text else (row.minimum, row.maximum)
        made.append(Row(name, value, default, least, most, row.unit, source, pending))
    return made


def _source_then(row: Parameter, running: Value, layers: Layers) -> str:
    """Where a value came from that nothing explains now: the file, unless it is the default."""
    layer = layers.environment
    if row.name in layer and layer[row.name] == running:
        return ENVIRONMENT
    return DEFAULT if running == row.default_in(layers.profile) else FILE


def service_assignments(arguments: Sequence[str]) -> dict[str, Value]:
    """What ``--set`` and ``--mode`` of `kssl serve ARGUMENTS` say. Raises ConfigError."""
    values = parse_assignments(_options(arguments, "--set"))
    for mode in _options(arguments, "--mode"):
        values["EnableKernelSSL"] = int(mode == "kernel")
    return values


def service_profile(arguments: Sequence[str]) -> str:
    """What ``--profile`` of `kssl serve ARGUMENTS` says, "" if it is not there."""
    return ["", *_options(arguments, "--profile")][-1]


def _options(arguments: Sequence[str], option: str) -> list[str]:
    """The values of `option`, as ``--option VALUE`` and ``--option=VALUE``."""
    found = []
    for index, argument in enumerate(arguments):
        if argument == option and index + 1 < len(arguments):
            found.append(arguments[index + 1])
        elif argument.startswith(f"{option}="):
            found.append(argument.partition("=")[2])
    return found


def service_environment(pid: int, otherwise: Mapping[str, str]) -> dict[str, Value]:
    """What the environment of process `pid` sets, which it has again after a restart.

    `otherwise` is taken where the system does not show it (proc(5), /proc/PID/environ).
    Raises ConfigError.
    """
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return from_environment(otherwise)
    variables = (entry.decode(errors="replace").partition("=") for entry in entries)
    ours = {name: value for name, _, value in variables if name.upper().startswith(PREFIX)}
    return from_environment(ours)
