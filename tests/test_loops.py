"""What a failed test leaves running does not hang the close of its event loop."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.loops import new_event_loop


def _start(loop: asyncio.AbstractEventLoop, program: str) -> asyncio.subprocess.Process:
    return loop.run_until_complete(asyncio.create_subprocess_exec(sys.executable, "-c", program))


def test_a_process_that_still_runs_is_killed_and_told() -> None:
    loop = new_event_loop()
    process = _start(loop, "import signal; signal.pause()")
    with pytest.raises(AssertionError, match=f"still run at the end: .{process.pid}."):
        loop.close()
    assert loop.is_closed()
    assert not Path(f"/proc/{process.pid}").exists()


def test_nobody_starts_another_in_its_place() -> None:
    loop = new_event_loop()
    process = _start(loop, "import signal; signal.pause()")

    async def again() -> None:
        await process.wait()
        await asyncio.create_subprocess_exec(sys.executable, "-c", "")

    task = loop.create_task(again())
    with pytest.raises(AssertionError, match="still run"):
        loop.close()
    assert task.cancelled() or isinstance(task.exception(), OSError)


def test_one_that_has_ended_is_no_matter() -> None:
    loop = new_event_loop()
    assert loop.run_until_complete(_start(loop, "").wait()) == 0
    loop.close()
    assert loop.is_closed()
