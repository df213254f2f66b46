"""config as a package: what it must not depend on, and who may load keys."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from kssl import config

SOURCES = sorted(Path(config.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_imports_no_event_loop_and_no_socket(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        names = (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        for name in names:
            assert name.split(".")[0] not in {"asyncio", "uvloop", "socket", "ssl"}, name


def test_vocabulary_stands_in_the_package_docstring() -> None:
    assert config.__doc__ is not None
    for word in ("parameter", "target", "leaf", "credentials", "development CA", "state folder"):
        assert word in config.__doc__
