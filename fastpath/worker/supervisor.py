"""Starts the worker's process, and starts it again when it dies.

Fresh processes only (never a fork of the running event loop): a worker inherits nothing but its
end of the socketpair and the paths of its files.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastpath.worker.frames import FrameType
from fastpath.worker.link import WorkerLink

log = logging.getLogger("kssl")

# A worker that dies this soon after its start will most likely die again: wait, so that a broken
# installation does not spin. The first restart is immediate.
_SHORT_LIFE = 1.0
_PAUSE = 0.5


class WorkerRefusedError(Exception):
    """The worker cannot use its configuration; str() is one line for people."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told. Paths and names only: it reads the private key itself."""

    state_dir: str
    certificate: str | None = None
    key: str | None = None
    names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")

    def to_json(self) -> bytes:
        return json.dumps(
            {
                "state_dir": self.state_dir,
                "certificate": self.certificate,
                "key": self.key,
                "names": list(self.names),
            }
        ).encode()


class _Configuration:
    """Waits for the worker's answer to CONFIGURE."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answer: asyncio.Future[dict[str, Any]] = loop.create_future()

    def frame_received(self, kind: int, payload: memoryview) -> None:
        if self.answer.done():
            return
        if kind == FrameType.READY:
            self.answer.set_result(json.loads(bytes(payload)))
        else:
            self.answer.set_exception(WorkerRefusedError(bytes(payload).decode()))

    def worker_lost(self) -> None:
        if not self.answer.done():
            self.answer.set_exception(WorkerRefusedError("the crypto worker died while starting"))


class Supervisor:
    """One worker process and the link to it. ``link`` is None while there is no worker."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._waiting: list[Callable[[], None]] = []
        self._restart: asyncio.Task[None] | None = None
        self._stopping = False
        self.link: WorkerLink | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> dict[str, Any]:
        """Starts the worker and returns what it loaded: ``{"ca": path or None, "warnings": []}``.

        Raises WorkerRefusedError when its configuration is wrong.
        """
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "fastpath.worker",
                str(theirs.fileno()),
                pass_fds=[theirs.fileno()],
                stdin=asyncio.subprocess.DEVNULL,
            )
        link = WorkerLink(loop, ours, self._lost)
        configuration = _Configuration(loop)
        link.configure(self._settings.to_json(), configuration)
        try:
            answer = await configuration.answer
        except BaseException:
            link.close()
            await self._process.wait()
            raise
        self.link = link
        waiting, self._waiting = self._waiting, []
        for ready in waiting:
            ready()
        return answer

    def when_ready(self, ready: Callable[[], None]) -> None:
        """Calls ``ready`` once there is a worker again."""
        self._waiting.append(ready)

    async def stop(self) -> None:
        """Ends the worker by closing its link, and waits until it is gone."""
        self._stopping = True
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        if self.link is not None:
            self.link.close()
            self.link = None
        if self._process is not None:
            await self._process.wait()

    def _lost(self, link: WorkerLink) -> None:
        if link is not self.link or self._stopping:
            return
        self.link = None
        self._restart = asyncio.get_running_loop().create_task(self._start_again())

    async def _start_again(self) -> None:
        loop = asyncio.get_running_loop()
        assert self._process is not None
        died = self._process
        log.error("crypto worker %d died; starting another", died.pid)
        while True:
            began = loop.time()
            try:
                # The dead one is waited for in the background of the new one's start.
                _, answer = await asyncio.gather(died.wait(), self.start())
            except (WorkerRefusedError, OSError) as error:
                log.error("crypto worker did not start: %s", error)
                assert self._process is not None
                died = self._process
            else:
                self.restarts += 1
                log.warning(
                    "crypto worker %s is up after %.0f ms", self.pid, (loop.time() - began) * 1000
                )
                del answer
                return
            await asyncio.sleep(max(_PAUSE, _SHORT_LIFE - (loop.time() - began)))
