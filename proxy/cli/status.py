"""`kssl status`: what the running proxies are doing, and how their connections ended."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from kssl.config.errors import printable
from kssl.config.running import RunningService
from kssl.config.statedir import default_state_dir
from kssl.proxy.cli.status_text import status_text
from kssl.proxy.service.ask import NoAnswerError, ask
from kssl.proxy.service.control import NotRunningError, find_services

_DESCRIPTION = """What the services of a state folder are doing: connections, workers, and how the
connections ended. Exit status 1: none runs, or one does not answer."""


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "status", help="what the running services are doing", description=_DESCRIPTION
    )
    parser.add_argument("--state-dir", type=Path, metavar="DIR")
    parser.add_argument("--pid", type=int, help="this one only")
    parser.add_argument("--json", action="store_true", help="a list, with an object for each")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    state_dir = Path(arguments.state_dir or default_state_dir())
    try:
        services = find_services(state_dir, arguments.pid)
        documents = _ask_all(state_dir, services)
        if not documents:  # they have ended since
            find_services(state_dir, arguments.pid)
    except NotRunningError as error:
        print(f"kssl: {error}", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(documents, indent=2))
    else:
        for number, document in enumerate(documents):
            if number:
                print()
            for line in _lines(document):
                print(printable(line))
    return 1 if any("error" in document for document in documents) else 0


def _lines(document: dict[str, Any]) -> list[str]:
    try:
        return list(status_text(document))
    except (KeyError, TypeError):
        return ["a service of another version, see: kssl status --json; or run: kssl restart"]


def _ask_all(state_dir: Path, services: list[RunningService]) -> list[dict[str, Any]]:
    """What each says; of one that says nothing what is known all the same, with "error"."""
    documents: list[dict[str, Any]] = []
    for service in services:
        try:
            documents.append(ask(state_dir, service))
        except NoAnswerError as error:
            if not service.runs():
                continue
            known = {
                "pid": service.pid,
                "state": service.state,
                "mode": service.mode,
                "urls": service.urls,
            }
            documents.append(known | {"error": str(error)})
    return documents
