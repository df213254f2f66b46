"""The protocol core does no I/O, reads no clock and draws no random numbers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kssl import fastpath

ROOT = Path(fastpath.__file__).parent
CORE = sorted([*(ROOT / "record").glob("*.py"), *(ROOT / "tls").glob("*.py")])
FORBIDDEN = {
    "asyncio", "datetime", "os", "random", "secrets", "select", "socket", "ssl", "threading",
    "time", "uvloop", "OpenSSL",
}  # fmt: skip


def imported(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_no_io(path: Path) -> None:
    assert not imported(path.read_text()) & FORBIDDEN


def test_the_check_finds_imports() -> None:
    assert imported("import socket\ndef f():\n from time import time") == {"socket", "time"}
