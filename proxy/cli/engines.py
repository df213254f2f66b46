"""`kssl engines`: which engines there are, whether each works here, and why not."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from kssl.fastpath.engines.registry import list_engines


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("engines", help="which record engines work on this machine")
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    statuses = list_engines()
    if arguments.json:
        print(json.dumps([asdict(status) for status in statuses], indent=2))
    else:
        for status in statuses:
            print(f"{status.name:<8} {'yes' if status.available else 'no':<4} {status.reason}")
    return 0
