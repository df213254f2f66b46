"""`kssl reg`: the parameters of kssl.toml, after reg.exe."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from kssl.config.document.edit import Document, edit_file, read_document
from kssl.config.document.where import VARIABLE, config_path
from kssl.config.errors import ConfigError, printable, reason
from kssl.config.parameter import Parameter, Profile, Value
from kssl.config.parameters import find_parameter, parse_assignments
from kssl.config.reg.parse import parse_reg
from kssl.config.reg.render import Encoding, render_reg
from kssl.config.reg.rows import (
    Layers,
    Row,
    rows,
    service_assignments,
    service_environment,
    service_profile,
)
from kssl.config.running import RunningService, running_services
from kssl.config.sources import PREFIX, from_environment
from kssl.config.statedir import default_state_dir

_MAX_FILE = 1 << 26  # bytes; an export of all of HKLM\SYSTEM has some tens of MiB


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "reg", help="show and change the parameters",
        description="The values of HTTP\\Parameters, in the table [parameters] of kssl.toml. "
        "docs/parameters.md says what each does.",
    )  # fmt: skip
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    query = _action(actions, "query", _query, "show value, default, range and source")
    add = query.add_argument
    add("names", metavar="NAME", nargs="*", help="in any case; one NAME alone: all about it")
    add("--json", action="store_true")
    add("--profile", choices=list(Profile), help="whose defaults; default: the file's, or native")
    add("--set", action="append", default=[], metavar="NAME=VALUE", dest="assignments",
        help="as if the service were started with it")  # fmt: skip
    add("--pid", type=int, metavar="PID", help="of the service to show, if several run")
    change = _action(actions, "set", _set, "set a value", aliases=["add"])
    change.add_argument("name", metavar="NAME")
    change.add_argument("value", metavar="VALUE", help="decimal or 0x hexadecimal, or a text")
    delete = _action(actions, "delete", _delete, "delete a value, so that the default counts")
    delete.add_argument("name", metavar="NAME")
    take = _action(actions, "import", _import, "set and delete what a .reg file says")
    take.add_argument("file", metavar="FILE", help="of regedit or kssl; -: standard input")
    take.add_argument("--dry-run", action="store_true", help="only show what would change")
    give = _action(actions, "export", _export, "write what kssl.toml sets as a .reg file")
    give.add_argument("file", metavar="FILE", help="-: standard output")
    give.add_argument("--encoding", choices=list(Encoding), default=Encoding.UTF16,
                      help="default utf-16, as regedit writes it")  # fmt: skip
    give.add_argument("--force", action="store_true", help="replace FILE if it exists")


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    description: str,
    aliases: Iterable[str] = (),
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=description, aliases=list(aliases))
    parser.add_argument("--config", type=Path, metavar="FILE",
        help=f"default ${VARIABLE}, or kssl.toml in the state folder")  # fmt: skip
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="default $XDG_STATE_HOME/kssl"
    )
    parser.set_defaults(run=run)
    return parser


@dataclass(frozen=True, slots=True)
class _Place:
    """The file that is meant, and the services that run with it, oldest first."""

    state_dir: Path
    path: Path
    chosen: bool  # by --config or the environment; else it may be missing
    services: list[RunningService]

    def read(self) -> Document:
        """Raises ConfigError."""
        found = read_document(self.path)
        if found is None and self.chosen:
            raise ConfigError(f"there is no {self.path}; `kssl reg set` makes it")
        return found or Document("", str(self.path))

    def edit(self, change: Callable[[Document], None]) -> None:
        """Raises ConfigError."""
        edit_file(self.path, self.state_dir, change)


def _place(arguments: argparse.Namespace, pid: int | None = None) -> _Place:
    """`pid`: the one service that is meant. Raises ConfigError."""
    state_dir: Path = (arguments.state_dir or default_state_dir()).absolute()
    running = running_services(state_dir)
    given: Path | None = arguments.config
    if pid is not None:
        services = [service for service in running if service.pid == pid]
        if not services:
            pids = ", ".join(str(service.pid) for service in running) or "none"
            raise ConfigError(f"--pid {pid}: no such service on {state_dir}; there is: {pids}")
        if given is None and services[0].config:
            given = Path(services[0].config)
    path = config_path(given, state_dir, os.environ)
    if pid is None:
        # A service that was started before its default file existed has it after a restart.
        unnamed = path == config_path(None, state_dir, {})
        services = [
            service for service in running
            if (Path(service.config).resolve() == path.resolve() if service.config else unnamed)
        ]  # fmt: skip
    return _Place(state_dir, path, given is not None or bool(os.environ.get(VARIABLE)), services)


# query


def _query(arguments: argparse.Namespace) -> int:
    names = [find_parameter(name).name for name in arguments.names]
    place = _place(arguments, arguments.pid)
    document = place.read()
    service = place.services[-1] if place.services else None
    if len(place.services) > 1 and service is not None:
        pids = ", ".join(str(each.pid) for each in place.services)
        _say(f"services {pids} run with {place.path}; this is the newest, {service.pid}; see --pid")
    found = rows(_layers(arguments, document, service), service)
    if names:
        found = [row for row in found if row.name in names]
    if arguments.json:
        print(json.dumps([row.as_json() for row in found], indent=1))
    elif len(names) == 1:
        _print_details(found[0], find_parameter(names[0]), _profile(arguments, document, service))
    else:
        _print_table(found, pending=service is not None)
    return 0


def _layers(
    arguments: argparse.Namespace, document: Document, service: RunningService | None
) -> Layers:
    command_line = parse_assignments(arguments.assignments)
    environment = from_environment(os.environ)
    if service is not None:
        command_line = service_assignments(service.arguments) | command_line
        environment = service_environment(service.pid, os.environ)
    return Layers(
        profile=_profile(arguments, document, service),
        file=document.parameters(),
        environment=environment,
        command_line=command_line,
    )


def _profile(
    arguments: argparse.Namespace, document: Document, service: RunningService | None
) -> Profile:
    """Of ``--profile``, else what the service was started with, else the file's, else native."""
    started = service_profile(service.arguments) if service is not None else ""
    name = getattr(arguments, "profile", None) or started or document.profile() or Profile.NATIVE
    try:
        return Profile(name)
    except ValueError:
        allowed = ", ".join(Profile)
        raise ConfigError(f"profile {name!r}: must be one of {allowed}") from None


def _print_table(found: Iterable[Row], *, pending: bool) -> None:
    lines = [("NAME", "VALUE", "DEFAULT", "RANGE", "SOURCE", "PENDING")]
    for row in found:
        parameter = find_parameter(row.name)
        after = "-" if row.pending is None else _shown(row.pending, parameter)
        value, default = _shown(row.value, parameter), _shown(row.default, parameter)
        lines.append((row.name, value, default, parameter.range_text, row.source, after))
    columns = range(6 if pending else 5)
    widths = [max(len(line[column]) for line in lines) for column in columns]
    for line in lines:
        print("  ".join(line[column].ljust(widths[column]) for column in columns).rstrip())


def _print_details(row: Row, parameter: Parameter, profile: Profile) -> None:
    live = "on SIGHUP or at start" if parameter.live_in(profile) else "at start"
    details = {
        "value": f"{_shown(row.value, parameter)} ({row.source})",
        "default": f"{_shown(row.default, parameter)} (profile {profile})",
        "allowed": parameter.range_text,
        "applies": live,
        "meaning": parameter.meaning,
        "risk": parameter.risk,
    }
    if row.pending is not None:
        details["pending"] = f"{_shown(row.pending, parameter)}, after a restart"
    print(parameter.name)
    for name, text in details.items():
        print(f"  {name:8} {text}")


def _shown(value: object, parameter: Parameter) -> str:
    """As a person types it; a 0 with a word of its own has that beside it."""
    if value is None:
        return "not set"
    if isinstance(value, str):
        return f'"{printable(value)}"'
    return f"{value} ({parameter.zero})" if value == 0 and parameter.zero else printable(str(value))


# set, delete, import, export


def _set(arguments: argparse.Namespace) -> int:
    row = find_parameter(arguments.name)
    value = row.parse(arguments.value)
    place = _place(arguments)
    before: object = None

    def change(document: Document) -> None:
        nonlocal before
        before = document.value_of(row.name)
        document.set_parameter(row.name, value)

    place.edit(change)
    if before == value and type(before) is type(value):
        _tell(f"{row.name} is {_shown(value, row)} already; nothing changes")
        return 0
    _tell(f"{row.name}: {_shown(before, row)} → {_shown(value, row)}   ({place.path})")
    _say_when(place, [row])
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    row = find_parameter(arguments.name)
    place = _place(arguments)
    place.read()  # a chosen file must exist
    before: object = None

    def change(document: Document) -> None:
        nonlocal before
        before = document.value_of(row.name)
        document.delete_parameter(row.name)

    place.edit(change)
    if before is None:
        _say(f"{row.name} is not set in {place.path}; nothing to delete")
        return 1
    _tell(f"{row.name}: {_shown(before, row)} → not set   ({place.path})")
    _say_when(place, [row])
    return 0


def _import(arguments: argparse.Namespace) -> int:
    file = parse_reg(_read(arguments.file), arguments.file)
    place = _place(arguments)
    changed: list[Parameter] = []
    lines: list[str] = []
    outcome = {"set": 0, "deleted": 0, "unchanged": 0}

    def change(document: Document) -> None:
        present = _present(document)
        for name, value in file.changes(present).items():
            row, before = find_parameter(name), present.get(name)
            if before == value and type(before) is type(value):
                outcome["unchanged"] += 1
                continue
            if value is None:
                document.delete_parameter(name)
            else:
                document.set_parameter(name, value)
            outcome["deleted" if value is None else "set"] += 1
            changed.append(row)
            lines.append(f"{name}: {_shown(before, row)} → {_shown(value, row)}")

    if arguments.dry_run:
        change(read_document(place.path) or Document("", str(place.path)))
    else:
        place.edit(change)
    for line in lines:  # now that it is true
        _tell(line)
    for note in file.notes:
        _say(note)
    counts = ", ".join(f"{count} {what}" for what, count in outcome.items())
    would = "would be: " if arguments.dry_run else ""
    _tell(f"{would}{counts}, {file.ignored} ignored   ({place.path})")
    if not arguments.dry_run:
        _say_when(place, changed)
    return 0


def _present(document: Document) -> dict[str, Value]:
    """What the file sets, bad values too: an import may be what puts them right."""
    found = {}
    for key in document.names():
        with contextlib.suppress(ConfigError):  # names that do not exist are not ours to change
            name = find_parameter(key).name
            found[name] = document.value_of(name)
    return found  # type: ignore[return-value]  # only compared and shown


def _export(arguments: argparse.Namespace) -> int:
    data = render_reg(_place(arguments).read().parameters(), Encoding(arguments.encoding))
    if arguments.file == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return 0
    try:
        with open(arguments.file, "wb" if arguments.force else "xb") as file:
            file.write(data)
    except FileExistsError:
        raise ConfigError(f"{arguments.file} exists; --force replaces it") from None
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cannot write {arguments.file}: {why}") from None
    return 0


def _read(name: str) -> bytes:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(_MAX_FILE + 1)
        else:
            with open(name, "rb") as file:
                data = file.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        why = reason(error) if isinstance(error, OSError) else str(error)
        raise ConfigError(f"cannot read {name}: {why}") from None
    if len(data) > _MAX_FILE:
        raise ConfigError(
            f"{name} is larger than {_MAX_FILE} bytes; export only the key HTTP\\Parameters"
        )
    return data


def _say_when(place: _Place, changed: list[Parameter]) -> None:
    """When a change takes effect, if that is not simply the next start."""
    for row in changed:
        for variable in os.environ:
            if variable.upper() == f"{PREFIX}{row.name}".upper():
                _say(f"${variable} is stronger than the file")
    for service in place.services if changed else []:
        profile = Profile(service.profile)
        overridden = _overridden(service, changed)
        for name in overridden:
            _say(f"service {service.pid} was started with another {name}, which is stronger")
        counting = [row for row in changed if row.name not in overridden]
        if not counting:
            continue
        when = "takes effect after restart (kssl restart)"
        if all(row.live_in(profile) for row in counting):
            when = f"takes effect on SIGHUP (kill -HUP {service.pid}) or restart (kssl restart)"
        _tell(f"service {service.pid} runs: {when}")


def _overridden(service: RunningService, changed: Iterable[Parameter]) -> list[str]:
    stronger: Mapping[str, Value] = {}
    with contextlib.suppress(ConfigError):
        stronger = service_assignments(service.arguments)
    return [row.name for row in changed if row.name in stronger]


def _tell(text: str) -> None:
    """On stdout; the name of a file may hold anything."""
    print(printable(text))


def _say(text: str) -> None:
    print(f"kssl reg: {printable(text)}", file=sys.stderr)
