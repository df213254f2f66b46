"""proxy/http is sans I/O: no sockets, no event loop, no clock, no chance."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import kssl.proxy.http

FILES = sorted(Path(kssl.proxy.http.__path__[0]).glob("*.py"))
FORBIDDEN = {"asyncio", "socket", "ssl", "time", "random", "secrets", "datetime", "uvloop"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_imports_no_io(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not FORBIDDEN & {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_stays_small(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 400
