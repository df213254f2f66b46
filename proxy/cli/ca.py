"""`kssl ca path`: where the development CA's certificate is."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kssl.config.devca import DevelopmentCA
from kssl.config.statedir import default_state_dir, ensure_state_dir


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser("ca", help="the development CA")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    path = actions.add_parser("path", help="print where its certificate is; made if there is none")
    path.add_argument("--state-dir", type=Path, metavar="DIR")
    path.add_argument("--json", action="store_true")
    path.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    state_dir = ensure_state_dir(arguments.state_dir or default_state_dir())
    ca = str(DevelopmentCA.open_or_create(state_dir).ca_path)
    print(json.dumps({"ca": ca}) if arguments.json else ca)
    return 0
