"""The supervisor of a worker's process, and with two hops of its filter's.

It starts them, starts them again when one dies or hangs, and gives a running worker other
certificates. How processes are started is in `processes`. A verifier (`kssl.fastpath.verifier`) is
supervised in the same way: "worker" here means either.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kssl.fastpath.ipc.control import Counts
from kssl.fastpath.ipc.frames import FrameType, Joined
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.processes import WORKER, Helper, Processes, spawn
from kssl.fastpath.ipc.watch import answers, watch
from kssl.fastpath.tls.openssl_conf import of_preset

log = logging.getLogger("kssl")

# A worker that dies this soon after it was ready, in seconds, will most likely die again: wait, so
# that a broken installation does not spin. With the start itself (0.2 s) that is below a second.
# One that has worked for longer is replaced at once.
_SHORT_LIFE = 1.0
_PAUSE = 0.5
# Each further one in a row waits twice as long, up to this.
_LONGEST_PAUSE = 30.0

# How long a worker may take to load its certificates, in seconds.
_START_LIMIT = 30.0

# How long other settings wait for a worker to be given to, in seconds. One that died is replaced in
# less; one that does not come up again, because a file of its settings is gone, may never be there.
_NEXT_LIMIT = 10.0

# How long a worker may take to count what it has, in seconds. One that loads certificates needs
# longer, but whoever asks wants to hear of the others.
_COUNT_LIMIT = 2.0


# How long a worker may take to show that it is alive before it is given other settings, in seconds.
# It answers between two messages, so one that works does within milliseconds.
_ALIVE_LIMIT = 5.0


class WorkerRefusedError(Exception):
    """A worker that cannot use its configuration, or cannot work at all.

    ``problems`` has everything that is wrong, a line each; ``str()`` is one line.
    """

    def __init__(self, *problems: str) -> None:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(problems[0] + more)
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """The settings of a worker: paths and names only, for it reads the private keys itself.

    ``tls`` is made by `kssl.config.routing.tls_settings`. Without ``kernel_mode`` the worker never
    hands over keys. ``preset`` is the parameter TlsPreset.
    """

    state_dir: str
    kernel_mode: bool
    tls: Mapping[str, Any]
    preset: str = ""

    @property
    def fixed(self) -> tuple[object, ...]:
        """The settings that cannot change while the process runs."""
        return self.kernel_mode, self.state_dir, self.preset

    @property
    def openssl_conf(self) -> Path:
        """OpenSSL's configuration file in the process."""
        return of_preset(self.preset)

    def to_json(self) -> bytes:
        """Return the payload of CONFIGURE."""
        settings = {
            "state_dir": self.state_dir,
            "kernel_mode": self.kernel_mode,
            "tls": self.tls,
            "preset": self.preset,
        }
        return json.dumps(settings).encode()


class Settings(Protocol):
    """The settings of a process: `WorkerSettings`, or `VerifierSettings` of the verifier."""

    @property
    def fixed(self) -> tuple[object, ...]:
        """The settings that cannot change while the process runs."""

    @property
    def openssl_conf(self) -> Path:
        """OpenSSL's configuration file in the process."""

    def to_json(self) -> bytes:
        """Return the payload of CONFIGURE."""


class _Configuration:
    """The receiver of the worker's answer to CONFIGURE, RESTORE or RECONFIGURE.

    ``accepted`` is called in the moment of READY, so that a worker that dies right behind it is
    replaced by one with the settings that it had accepted.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        lost: str,
        accepted: Callable[[], None] = lambda: None,
    ) -> None:
        self.answer: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._lost = lost
        self._accepted = accepted
        self._joined = Joined()

    def frame_received(self, kind: int, payload: memoryview) -> None:
        told = self._joined.add(payload)
        if told is None:
            return
        if kind == FrameType.READY:
            self._accepted()
            if not self.answer.done():
                self.answer.set_result(json.loads(told))
        elif not self.answer.done():
            self.answer.set_exception(WorkerRefusedError(*told.decode().split("\n")))

    def worker_lost(self) -> None:
        if not self.answer.done():
            self.answer.set_exception(WorkerRefusedError(self._lost))


class Supervisor:
    """The owner of one worker process and of the link to it; ``link`` is None while there is none.

    ``hops`` is 1, or 2 for a filter between the front end and the worker (UserModeHops).
    """

    def __init__(self, settings: Settings, *, hops: int = 1, helper: Helper = WORKER) -> None:
        self._settings = settings
        self._helper = helper
        self._stopping_words = f"the {helper.name} is being stopped"
        self._hops = hops
        self._processes: Processes | None = None
        self._ready_at = 0.0  # on the loop's clock
        self._waiting: dict[Callable[[], None], None] = {}  # in order
        self._restart: asyncio.Task[None] | None = None
        self._pause = 0.0  # of the last one that lived for a short time
        self._hurry = asyncio.Event()  # somebody has other settings: no pause
        self._ending: set[asyncio.Task[None]] = set()
        self._reconfigurations: set[asyncio.Task[dict[str, Any]]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._watch: asyncio.Task[None] | None = None
        self._stopping = False
        self.link: WorkerLink | None = None
        self.silent = False  # it lives, and has not answered for a while
        self.restarts = 0
        # Why there is none, and will not be at once: who waits is told. "": there is one, or soon.
        self.down = ""
        # What one that was restarted could not load; clients of these are refused.
        self.problems: list[str] = []

    @property
    def pid(self) -> int | None:
        """The number of the worker's process."""
        return self._processes.worker.pid if self._processes is not None else None

    @property
    def filter_pid(self) -> int | None:
        """The number of the filter's process; None with one hop."""
        if self._processes is None or self._processes.filter is None:
            return None
        return self._processes.filter.pid

    async def start(self) -> dict[str, Any]:
        """Start the worker and return what it loaded::

            {"ca": path of the development CA or None, "warnings": [line], "problems": []}

        Raise WorkerRefusedError when that fails, most often for its configuration.
        """
        return await self._start(FrameType.CONFIGURE)

    async def _start(self, kind: FrameType) -> dict[str, Any]:
        loop, name = asyncio.get_running_loop(), self._helper.name
        try:
            ours, processes = await spawn(self._helper, self._hops, self._settings.openssl_conf)
        except OSError as error:
            raise WorkerRefusedError(f"the {name} cannot be started: {error}") from None
        self._processes = processes
        link = WorkerLink(loop, ours, self._lost)
        configuration = _Configuration(loop, lost=f"the {name} died while starting")
        link.configure(kind, self._settings.to_json(), configuration)
        try:
            async with asyncio.timeout(_START_LIMIT):
                answer = await configuration.answer
            if link.lost:
                raise WorkerRefusedError(f"the {name} died as soon as it was ready")
        except TimeoutError:
            link.close()
            await processes.end()
            raise WorkerRefusedError(
                f"the {name} was not ready after {_START_LIMIT:.0f} s"
            ) from None
        except BaseException:
            link.close()
            await processes.end()
            raise
        self.link = link
        self.silent = False
        self.down, self.problems = "", list(answer["problems"])
        self._ready_at = loop.time()
        if self._watch is None:
            self._watch = loop.create_task(
                watch(
                    lambda: self.link,
                    lambda: bool(self._reconfigurations),
                    self._hung,
                    self._set_silent,
                )
            )
        self._wake()
        return answer

    def _wake(self) -> None:
        """Call all that wait; they look at ``link``, and at ``down``."""
        waiting, self._waiting = self._waiting, {}
        for ready in waiting:
            ready()

    async def reconfigure(self, settings: Settings) -> dict[str, Any]:
        """Give the worker other certificates; return the same as `start`.

        Connections go on, and sessions can still be resumed. While there is no worker this waits
        for one, but not for long. A cancelled call goes on in the background: the worker may have
        accepted.

        Raises:
            WorkerRefusedError: a certificate cannot be used, or there is no worker, or it died
                before it said yes. Everything stays as it was, also in a worker that is started
                later.
            RuntimeError: another mode or state folder, which needs another worker.
        """
        if self._stopping:
            raise WorkerRefusedError(self._stopping_words)
        if settings.fixed != self._settings.fixed:
            raise RuntimeError("the mode and the state folder of a running worker cannot change")
        task = asyncio.get_running_loop().create_task(self._reconfigure(settings))
        self._reconfigurations.add(task)
        task.add_done_callback(self._reconfigured)
        return await asyncio.shield(task)

    async def _reconfigure(self, settings: Settings) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        try:
            async with self._one_at_a_time:
                link = await self._next_link()
                configuration = _Configuration(
                    loop,
                    lost=f"the {self._helper.name} died while it loaded; nothing has changed",
                    accepted=lambda: self._accepted(settings),
                )
                link.configure(FrameType.RECONFIGURE, settings.to_json(), configuration)
                try:
                    async with asyncio.timeout(_START_LIMIT):
                        return await configuration.answer
                except TimeoutError:
                    link.give_up()  # or it might accept later, when nobody counts on it
                    raise WorkerRefusedError(
                        f"the {self._helper.name} did not answer within {_START_LIMIT:.0f} s; it "
                        "is replaced, and nothing has changed"
                    ) from None
        except asyncio.CancelledError:
            if self._stopping:
                raise WorkerRefusedError(self._stopping_words) from None
            raise

    def _accepted(self, settings: Settings) -> None:
        self._settings = settings
        self.problems = []

    def _reconfigured(self, task: asyncio.Task[dict[str, Any]]) -> None:
        self._reconfigurations.discard(task)
        if not task.cancelled():
            task.exception()  # seen, should the caller have been cancelled

    async def count(self) -> Counts | None:
        """Return the worker's own counts: {"connections": …, "handshakes": those in progress}.

        Return None if there is no worker, or if it does not answer within `_COUNT_LIMIT`.
        """
        link = self.link
        if link is None or link.lost:
            return None
        try:
            async with asyncio.timeout(_COUNT_LIMIT):
                return await asyncio.shield(link.count())  # others may wait for it too
        except TimeoutError:
            return None

    @property
    def takes_work(self) -> bool:
        """Whether there is a worker, and it answers as far as is known."""
        return self.link is not None and not self.silent

    async def replace_if_hung(self) -> None:
        """Give up a worker that does not answer within `_ALIVE_LIMIT`.

        What it would be given next goes to its successor.
        """
        link = self.link
        if link is None or link.lost or self._reconfigurations:
            return
        if not await answers(link, _ALIVE_LIMIT) and link is self.link:
            self._hung(link)

    def _set_silent(self, silent: bool) -> None:
        self.silent = silent

    def start_over(self, settings: Settings) -> None:
        """Replace the worker by one with ``settings``; those that it has accepted do not count."""
        self._settings = settings
        if self.link is not None:
            self.link.give_up()

    async def _next_link(self) -> WorkerLink:
        """Return the link, as soon as there is a worker. Raise WorkerRefusedError if none comes."""
        if self.link is None:
            self._hurry.set()
        try:
            async with asyncio.timeout(_NEXT_LIMIT):
                while self.link is None:
                    up = asyncio.Event()
                    self.when_ready(up.set)
                    try:
                        await up.wait()
                    finally:
                        self.forget(up.set)
                return self.link
        except TimeoutError:
            raise WorkerRefusedError(
                f"the {self._helper.name} died and does not start with what was served until now, "
                "so it cannot be given anything else; run: kssl restart"
            ) from None

    def when_ready(self, ready: Callable[[], None]) -> None:
        """Call ``ready`` once there is a worker again, or ``down`` says why not."""
        self._waiting[ready] = None

    def forget(self, ready: Callable[[], None]) -> None:
        """Take `when_ready` back, if ``ready`` still waits."""
        self._waiting.pop(ready, None)

    async def stop(self) -> None:
        """End the worker by closing its link, and wait until it is gone."""
        self._stopping = True
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        for task in self._reconfigurations:
            task.cancel()
        await asyncio.gather(*self._reconfigurations, return_exceptions=True)
        if self._restart is not None:
            self._restart.cancel()
            await asyncio.gather(self._restart, return_exceptions=True)
        if self.link is not None:
            self.link.close()
            self.link = None
        self._waiting.clear()
        if self._processes is not None:
            await self._processes.end()
        await asyncio.gather(*self._ending)

    def _hung(self, link: WorkerLink) -> None:
        log.error("%s does not answer any more; it is replaced", self._processes)
        link.give_up()

    def _lost(self, link: WorkerLink) -> None:
        """Replace the process: its link has ended, so it has too, or must."""
        if link is not self.link or self._stopping:
            return
        self.link = None
        loop = asyncio.get_running_loop()
        assert self._processes is not None
        short_life = loop.time() - self._ready_at < _SHORT_LIFE
        again = short_life and self._pause > 0
        if not short_life:
            self._pause = 0.0
        log.error("%s died; starting another", self._processes)
        if again:
            self._give_up(f"the {self._helper.name} dies again and again")
        ending = loop.create_task(self._processes.end())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        self._restart = loop.create_task(self._start_again(short_life))

    def _give_up(self, why: str) -> None:
        """Tell all that wait that there is no worker, so that clients do not hang meanwhile."""
        self.down = why
        self._wake()

    async def _start_again(self, short_life: bool) -> None:
        loop = asyncio.get_running_loop()
        died = loop.time()
        told = ""
        while True:
            if short_life:
                await self._rest()
            short_life = True
            try:
                answer = await self._start(FrameType.RESTORE)
            except WorkerRefusedError as error:
                if str(error) != told:  # once, however often it is tried
                    told = str(error)
                    log.error(
                        "%s did not start: %s; it is tried again with growing pauses, up to "
                        "%.0f s, and who needs it is refused meanwhile",
                        self._helper.name,
                        error,
                        _LONGEST_PAUSE,
                    )
                self._give_up(f"the {self._helper.name} does not start: {told}")
                continue
            self.restarts += 1
            for problem in answer["problems"]:
                log.error(
                    "%s %s works without this, and refuses who needs it: %s; put it right, then "
                    "reload (SIGHUP)",
                    self._helper.name,
                    self.pid,
                    problem,
                )
            log.warning(
                "%s %s is up after %.0f ms",
                self._helper.name,
                self.pid,
                (loop.time() - died) * 1000,
            )
            return

    async def _rest(self) -> None:
        """Wait, each time in a row for twice as long."""
        self._pause = min(self._pause * 2, _LONGEST_PAUSE) if self._pause else _PAUSE
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._pause):
                await self._hurry.wait()
        self._hurry.clear()
