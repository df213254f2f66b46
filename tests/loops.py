"""The front end's event loop, uvloop, with an end to what a failed test has left behind."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import uvloop

_SECONDS = 60.0


class Loop(uvloop.Loop):
    """`close` kills processes that still run, and says so.

    uvloop's own waits for them, for ever and where no signal handler of Python's gets its turn.
    """

    def __init__(self) -> None:
        super().__init__()
        self._started: list[asyncio.SubprocessTransport] = []
        self._ending = False

    async def subprocess_exec(self, *arguments: Any, **options: Any) -> Any:
        if self._ending:  # in place of one that was killed
            raise OSError("the event loop is being closed")
        transport: Any
        transport, protocol = await super().subprocess_exec(*arguments, **options)
        self._started = [each for each in self._started if each.get_returncode() is None]
        self._started.append(transport)
        return transport, protocol

    def close(self) -> None:
        self._ending = True
        left = [each for each in self._started if each.get_returncode() is None]
        self._started.clear()
        if left and not self.is_closed():
            self.run_until_complete(_end(left))
        super().close()
        assert not left, f"processes still run at the end: {[each.get_pid() for each in left]}"


async def _end(processes: list[asyncio.SubprocessTransport]) -> None:
    async with asyncio.timeout(_SECONDS):
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for process in processes:
            await process._wait()  # type: ignore[attr-defined]  # as asyncio.subprocess does
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def new_event_loop() -> asyncio.AbstractEventLoop:
    loop: asyncio.AbstractEventLoop = Loop()
    return loop
