"""A running service under control: its record, reload (SIGHUP), restart (SIGUSR2).

One thing at a time: a second SIGHUP during a reload waits for it, and reads the file again. Once
there is a successor, or the service ends, nothing of this happens any more; a successor that is
not ready by then is ended.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from kssl.config.errors import ConfigError, ProblemsError
from kssl.config.model import Configuration
from kssl.config.running import (
    RunningService,
    State,
    own_start_time,
    write_last_start,
    write_record,
)
from kssl.proxy.service.launch import Launched, launch
from kssl.proxy.service.service import Service

log = logging.getLogger("kssl")


class Live:
    """Made once the service accepts.

    arguments, folder: how `kssl` was called, to do so again; `arguments` empty: it cannot be.
    reread: reads the configuration anew; raises ConfigError.
    handed_over: called when a successor has taken the listening sockets.
    """

    def __init__(
        self,
        service: Service,
        *,
        arguments: Sequence[str],
        reread: Callable[[], Configuration],
        handed_over: Callable[[], None],
        predecessor: int,
    ) -> None:
        self._service = service
        self._arguments = list(arguments)
        self._folder = str(Path.cwd())
        self._reread = reread
        self._handed_over = handed_over
        self._predecessor = predecessor
        self._state_dir = service.options.state_dir
        self._failures = 0
        self._state = State.SERVING
        self._over = False
        self._successor: subprocess.Popen[bytes] | None = None  # while it is not ready
        self.took_over: Launched | None = None
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def found(self) -> None:
        """From now on other commands find the service, and may signal it."""
        self._write("")
        if self._arguments and self._service.has_state_dir:
            write_last_start(self._state_dir, self._arguments, self._folder)

    def close(self, state: State) -> None:
        """The service ends, or has a successor: only `kssl status` and `kssl stop` still find it,
        until its record is removed."""
        self._over = True
        for task in self._tasks:
            task.cancel()
        self._end_unready()
        self._state = state
        self._write("")

    def reload(self) -> None:
        """Signal handler. What is wrong is logged, and everything stays as it was."""
        self._start(self._reload, "reload")

    def restart(self) -> None:
        """Signal handler, likewise."""
        self._start(self._restart, "restart")

    # -- one at a time ---------------------------------------------------------------------

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
        task = asyncio.get_running_loop().create_task(self._in_turn(work, what))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _in_turn(self, work: Callable[[], Coroutine[Any, Any, None]], what: str) -> None:
        async with self._turn:
            if self._over:
                return
            try:
                await work()
            except ConfigError as error:
                for line in error.problems if isinstance(error, ProblemsError) else [error]:
                    log.error("no %s: %s", what, line)
                log.error("no %s; everything goes on as it was", what)
                self._failed(str(error))
            except Exception:
                log.exception("internal error; no %s", what)
                self._failed("internal error; see the log")

    def _failed(self, words: str) -> None:
        self._failures += 1
        self._write(f"{self._failures} {words}")

    async def _reload(self) -> None:
        configuration = self._reread()
        for note in await self._service.reload(configuration):
            log.warning("%s", note)
        self._write("")

    async def _restart(self) -> None:
        if not self._arguments:
            raise ConfigError("only `kssl serve` can be restarted; end it and start it again")
        successor = await asyncio.to_thread(
            launch,
            self._arguments,
            folder=Path(self._folder),
            listeners=self._service.listening_sockets(),
            began=self._began,
        )
        self._successor = None
        self.took_over = successor
        self._over = True
        log.warning("process %d takes over; this one finishes what it has", successor.pid)
        self._handed_over()

    def _began(self, successor: subprocess.Popen[bytes]) -> None:
        """Called in a thread; `close` may come before or after."""
        self._successor = successor
        if self._over:
            self._end_unready()

    def _end_unready(self) -> None:
        """Whoever stops a service in the middle of a restart does not want another one."""
        successor = self._successor
        if successor is not None:
            successor.terminate()

    # -- the record ------------------------------------------------------------------------

    def _write(self, failure: str) -> None:
        service = self._service
        if not service.has_state_dir:
            return
        configuration = service.configuration
        write_record(
            self._state_dir,
            RunningService(
                pid=os.getpid(),
                started=own_start_time(),
                arguments=self._arguments,
                folder=self._folder,
                config=str(configuration.path or ""),
                profile=configuration.profile.value,
                mode=service.front.mode,
                urls=service.urls,
                parameters=service.front.parameters.by_name,
                failure=failure,
                predecessor=self._predecessor,
                state=self._state,
            ),
        )
