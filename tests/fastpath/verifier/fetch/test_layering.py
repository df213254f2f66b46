"""What judges the bytes and URLs of strangers does no I/O and reads no clock."""

from __future__ import annotations

from pathlib import Path

import pytest

import kssl.fastpath.verifier.fetch
from tests.fastpath.test_sans_io import imported

ROOT = Path(kssl.fastpath.verifier.fetch.__file__).parent
CORE = ("errors", "limits", "url", "special", "allowed", "content", "freshness", "exchange")
FORBIDDEN = {"asyncio", "os", "random", "select", "socket", "ssl", "threading", "time"}


@pytest.mark.parametrize("name", CORE)
def test_no_io(name: str) -> None:
    assert not imported((ROOT / f"{name}.py").read_text()) & FORBIDDEN


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.py")), ids=lambda path: path.name)
def test_no_event_loop_and_no_proxies(path: Path) -> None:
    """urllib and http.client would follow the environment's proxies, and redirects."""
    assert not imported(path.read_text()) & {"asyncio", "uvloop", "urllib", "http", "requests"}
