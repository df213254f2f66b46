"""`kssl start`, `stop` and `restart`: a service in the background, after ``net stop http``."""

from __future__ import annotations

import argparse
import functools
import json
import os
import sys
from pathlib import Path

from kssl.config import statedir
from kssl.config.errors import ConfigError
from kssl.config.running import State, last_start, running_services
from kssl.proxy.cli.options import add_serve_arguments
from kssl.proxy.service.control import NotRunningError, find_service, find_to_stop, restart, stop
from kssl.proxy.service.launch import launch

LOG_FOLDER = "LogFiles"
LOG_NAME = "kssl.log"

_START = """Starts `kssl serve` in the background, with the arguments of `kssl serve`. Without any,
the service is started that ran last on this state folder, or what the configuration file says."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    starting = commands.add_parser(
        "start", help="start a service in the background", description=_START
    )
    add_serve_arguments(starting)
    starting.add_argument("--json", action="store_true")
    starting.set_defaults(run=functools.partial(_start, starting))
    for name, function, text in (
        ("stop", _stop, "end the service, when it has finished its requests"),
        ("restart", _restart, "start it anew; no connection is refused meanwhile"),
    ):
        parser = commands.add_parser(name, help=text)
        parser.add_argument("--state-dir", type=Path, metavar="DIR")
        parser.add_argument("--pid", type=int, help="which, if several run")
        parser.add_argument("--json", action="store_true")
        parser.set_defaults(run=function)


def _state_dir(arguments: argparse.Namespace) -> Path:
    return Path(arguments.state_dir or statedir.default_state_dir())


def _nothing_said(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> bool:
    """Whether no argument, however written, says what to serve."""
    usual = vars(parser.parse_args([])) | {"state_dir": arguments.state_dir, "json": arguments.json}
    return all(getattr(arguments, name) == value for name, value in usual.items())


def _start(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    state_dir = statedir.ensure_state_dir(_state_dir(arguments))
    given, folder = [word for word in sys.argv[2:] if word != "--json"], Path.cwd()
    if _nothing_said(parser, arguments):
        running = running_services(state_dir)
        if running:
            where = ", ".join(f"{each.where} (process {each.pid})" for each in running)
            print(f"kssl: the service runs already: {where}", file=sys.stderr)
            return 1
        last = last_start(state_dir)
        if last is not None:
            (_, *given), folder = last  # without the word `serve`
    log, descriptor = _open_log(state_dir)
    try:
        started = launch(["serve", *given], folder=folder, output=descriptor, new_session=True)
    finally:
        os.close(descriptor)
    if arguments.json:
        print(json.dumps({"pid": started.pid, "urls": started.urls, "log": str(log)}))
    else:
        print(f"started: {', '.join(started.urls)} (process {started.pid}), log in {log}")
    return 0


def _open_log(state_dir: Path) -> tuple[Path, int]:
    folder = statedir.ensure_state_dir(state_dir / LOG_FOLDER)
    path = folder / LOG_NAME
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return path, os.open(path, flags, statedir.PRIVATE_FILE_MODE)
    except OSError as error:
        raise ConfigError(f"cannot write the log {path}: {error.strerror}") from None


def _stop(arguments: argparse.Namespace) -> int:
    try:
        services = find_to_stop(_state_dir(arguments), arguments.pid)
    except NotRunningError as error:
        print(f"kssl: {error}", file=sys.stderr)
        return 1
    stop(*services)
    if arguments.json:
        last = services[-1]  # the one that accepted, if one did
        pids = [service.pid for service in services]
        print(json.dumps({"pid": last.pid, "urls": last.urls, "pids": pids}))
    else:
        for service in services:
            was = "" if service.state == State.SERVING else f", which was {service.state}"
            print(f"stopped: {service.where} (process {service.pid}{was})")
    return 0


def _restart(arguments: argparse.Namespace) -> int:
    state_dir = _state_dir(arguments)
    try:
        service = find_service(state_dir, arguments.pid)
    except NotRunningError as error:
        print(f"kssl: {error}", file=sys.stderr)
        return 1
    successor = restart(state_dir, service)
    if arguments.json:
        print(json.dumps({"pid": successor.pid, "urls": successor.urls}))
    else:
        print(
            f"restarted: {successor.where} (process {successor.pid} in the place of "
            f"{service.pid}, which finishes what it has)"
        )
    return 0
