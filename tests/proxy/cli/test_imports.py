"""A subcommand imports its own module and none of the others': what makes `kssl` quick to start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kssl.proxy.cli import COMMANDS, build_parser

PROGRAM = """
import contextlib, io, json, sys
from kssl.proxy.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    with contextlib.suppress(SystemExit):
        main()
print(json.dumps(list(sys.modules)))
"""
MODULES = set(COMMANDS.values())


def imported(folder: Path, *arguments: str) -> set[str]:
    output = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, check=True, timeout=120,
        env={"XDG_STATE_HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[3] / "src")},
    ).stdout  # fmt: skip
    return set(json.loads(output))


def test_the_version_needs_next_to_nothing(tmp_path: Path) -> None:
    found = imported(tmp_path, "--version")
    assert not found & {f"kssl.proxy.cli.{module}" for module in MODULES}
    assert not found & {"asyncio", "cryptography", "tomlkit", "uvloop"}
    assert len(found) < 250


@pytest.mark.parametrize(
    ("arguments", "needless"),
    [
        (("reg", "query"), {"asyncio", "cryptography", "uvloop"}),
        (("status",), {"cryptography", "uvloop"}),
        (("stop",), {"kssl.proxy.service.service", "uvloop"}),
        (("start", "--help"), {"kssl.proxy.service.service", "uvloop"}),
        (("ca", "path"), {"asyncio", "uvloop"}),
        (("cert", "list"), {"kssl.proxy.service.service", "uvloop"}),
        (("trace", "--help"), {"cryptography", "uvloop"}),
        (("bench", "--help"), {"cryptography", "uvloop"}),
        (("engines",), {"kssl.proxy.service.service", "uvloop"}),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_a_subcommand_needs_its_own(
    arguments: tuple[str, ...], needless: set[str], tmp_path: Path
) -> None:
    found = imported(tmp_path, *arguments)
    others = MODULES - {COMMANDS[arguments[0]]}
    assert not found & {f"kssl.proxy.cli.{module}" for module in others}
    assert not found & needless


@pytest.mark.parametrize("command", COMMANDS)
def test_the_table_names_the_module(command: str) -> None:
    parser = build_parser([COMMANDS[command]])
    assert command in parser.format_help()


def test_the_table_names_every_subcommand() -> None:
    (actions,) = (action for action in build_parser()._actions if action.dest == "command")
    assert actions.choices is not None
    assert list(actions.choices) == list(COMMANDS)
