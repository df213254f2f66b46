"""The command `kssl`: one module for each subcommand. Exit codes: 0 fine, 1 what was checked is
wrong, 2 usage or configuration error."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterable, Sequence

from kssl.config.errors import ConfigError, ProblemsError
from kssl.fastpath.logs.standard import open_missing

# The module of each subcommand, in the order of `kssl --help`. Only the module of the subcommand
# that is called is imported, because all of them together take 0.3 s.
COMMANDS = {
    "serve": "serve",
    "start": "control",
    "stop": "control",
    "restart": "control",
    "status": "status",
    "check": "check",
    "reg": "reg",
    "cert": "cert",
    "demo": "demo",
    "trace": "trace",
    "bench": "bench",
    "engines": "engines",
    "ca": "ca",
}


def build_parser(modules: Iterable[str] = tuple(COMMANDS.values())) -> argparse.ArgumentParser:
    """Return the parser of `kssl` with the subcommands that ``modules`` define."""
    parser = argparse.ArgumentParser(
        prog="kssl",
        description="TLS-terminating reverse proxy with user-mode and kernel-mode encryption.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in dict.fromkeys(modules):
        importlib.import_module(f"kssl.proxy.cli.{module}").register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the subcommand that ``argv`` names and return the exit code."""
    open_missing()
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["--version"]:
        return _print_version()
    called = COMMANDS.get(words[0]) if words else None
    # The help and the errors of `kssl` itself speak of all subcommands.
    parser = build_parser(COMMANDS.values() if called is None else [called])
    arguments = parser.parse_args(words)
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


def _print_version() -> int:
    from importlib.metadata import version

    print(f"kssl {version('kssl')}")
    return 0
