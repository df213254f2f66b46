"""The command `kssl`: one module for each subcommand. Exit codes: 0 fine, 1 what was checked is
wrong, 2 usage or configuration error."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from config.errors import ConfigError, ProblemsError
from fastpath.logs.standard import open_missing
from proxy.cli import bench, ca, cert, check, control, demo, engines, reg, serve, status, trace

_COMMANDS = (serve, control, status, check, reg, cert, demo, trace, bench, engines, ca)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kssl",
        description="TLS-terminating reverse proxy with user-mode and kernel-mode encryption.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in _COMMANDS:
        module.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    open_missing()
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except ProblemsError as error:
        for problem in error.problems:
            print(f"kssl: {problem}", file=sys.stderr)
        return 2
    except ConfigError as error:
        print(f"kssl: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0  # `kssl … | head`
