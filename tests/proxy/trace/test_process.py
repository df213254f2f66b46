"""kssl.proxy.trace.process: what a watched front end starts is watched too."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kssl.fastpath.ipc import processes
from kssl.proxy.trace.process import _trace_children


@pytest.mark.parametrize("options", [(), ("-P",)])
@pytest.mark.parametrize(
    ("module", "watched"),
    [("kssl.fastpath.worker", True), ("kssl.fastpath.filter", True), ("x", False)],
)
def test_children_are_watched(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    module: str,
    watched: bool,
) -> None:
    """Also when the interpreter gets an option in front of ``-m``."""
    started: list[tuple[str, ...]] = []

    async def start(program: str, *arguments: str, **_: Any) -> None:
        started.append((program, *arguments))

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    monkeypatch.setattr(processes, "_END_LIMIT", 1.0)
    _trace_children(tmp_path)
    asyncio.run(asyncio.create_subprocess_exec("python", *options, "-m", module, "5"))
    ours = ("kssl.proxy.trace.process", str(tmp_path)) if watched else ()
    assert started == [("python", *options, "-m", *ours, module, "5")]
