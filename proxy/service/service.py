"""The service: workers, listeners and upstreams put together, from start to stop.

Service.start → Supervisor (crypto worker) → Listener → ClientConnection …
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kssl.config import routing
from kssl.config.errors import ConfigError
from kssl.config.model import Configuration
from kssl.config.profiles import NEEDS_RESTART, RULES
from kssl.config.running import FOLDER
from kssl.config.statedir import ensure_state_dir, write_public
from kssl.fastpath.engines.registry import choose_engine
from kssl.fastpath.ipc.hardening import protect_memory
from kssl.fastpath.logs import messages
from kssl.fastpath.net.poller import Poller
from kssl.proxy.frontend.capacity import Capacity, FileLimit, automatic_ceiling
from kssl.proxy.frontend.deadlines import Deadlines
from kssl.proxy.frontend.front import Front
from kssl.proxy.frontend.listener import Listener
from kssl.proxy.http.codec import get_codec
from kssl.proxy.journal.accesslog import AccessLog, Standard, Stream, close_own, open_access_log
from kssl.proxy.journal.closes import Closes
from kssl.proxy.journal.httperr import ErrorLog
from kssl.proxy.journal.journal import Journal
from kssl.proxy.service.admin import AdminSocket, open_admin
from kssl.proxy.service.helpers import Helpers
from kssl.proxy.service.memory_limit import memory_limit, resident
from kssl.proxy.service.opening import Opened, close_all, open_endpoints
from kssl.proxy.service.snapshot import snapshot
from kssl.proxy.upstream.lookup import Lookup, look_up
from kssl.proxy.upstream.names import Names

log = logging.getLogger("kssl")

# Of a development certificate where a site has no host names.
DEFAULT_NAMES = ("localhost", "127.0.0.1", "::1")

_LOG_STAYS = (
    "the access log goes on where it was, and everything else applies; put the file right (with "
    "logrotate: `create 0640`, for the user that kssl runs as), then send SIGHUP again"
)

# Open files to ask for where root may: some 30,000 connections, each with one to the upstream.
_FILES = 65536

# When StopGrace is over, how long the last bytes may still take, in seconds.
SEND_GRACE = 1.0

# How long clients may take to answer our end, in seconds: whether with close_notify is logged.
ANSWER_GRACE = 0.25


def _nothing(binding: str) -> Sequence[socket.socket]:
    """No predecessor, no sockets of its."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """What `kssl serve` was told.

    `names`: of a development certificate where a site has no host names. `streams`: what the words
    "stderr" and "stdout" in `configuration.logs` stand for; without them there is no log there.
    """

    configuration: Configuration
    state_dir: Path
    engine: str = "auto"  # of kernel mode
    codec: str = "auto"
    workers: int = 1
    names: tuple[str, ...] = DEFAULT_NAMES
    streams: Standard = field(default_factory=dict)
    ready_file: Path | None = None


class Service:
    """One running proxy. ``configuration`` is the one that is served now."""

    def __init__(self, options: ServiceOptions, look_up: Lookup = look_up) -> None:
        """``look_up``: finds the addresses of upstreams."""
        self._look_up = look_up
        self.options = options
        self.configuration = options.configuration
        self.ca: str | None = None
        self.warnings: list[str] = []
        self._front: Front | None = None
        self._listeners: list[Listener] = []
        self._helpers = Helpers(options.state_dir, options.configuration, options.names)
        self._reloading = asyncio.Lock()
        self._admin: AdminSocket | None = None
        self._started = datetime.now(UTC)
        self._hurried = asyncio.Event()
        self.has_state_dir = True
        self._until: float | None = None  # on the loop's clock: when it ends at the latest

    @property
    def front(self) -> Front:
        assert self._front is not None, "not started"
        return self._front

    @property
    def url(self) -> str:
        """Of the first TLS binding, or of the first if there is none."""
        endpoints = self.front.endpoints
        return next((each for each in endpoints if each.tls), endpoints[0]).url

    @property
    def urls(self) -> list[str]:
        """One for each binding."""
        return [endpoint.url for endpoint in self.front.endpoints]

    @property
    def stop_grace(self) -> float:
        """Seconds for requests in progress when the service stops."""
        return self.front.parameters.stop_grace

    @property
    def restart_grace(self) -> float:
        """Seconds for the connections of a service that has a successor."""
        return self.front.parameters.restart_grace

    def listening_sockets(self) -> dict[str, list[socket.socket]]:
        """By the text of their `Binding`: what a successor takes over."""
        found: dict[str, list[socket.socket]] = {}
        for each in self._listeners:
            found.setdefault(str(each.endpoint.binding), []).append(each.sock)
        return found

    async def start(self, inherited: Callable[[str], Sequence[socket.socket]] = _nothing) -> None:
        """``inherited``: the listening sockets of a binding, by its text, that a predecessor has
        handed over.

        Raises ConfigError when something in the options cannot work.
        """
        options, configuration = self.options, self.configuration
        parameters = configuration.parameters
        loop = asyncio.get_running_loop()
        protect_memory()
        _raise_file_limit()
        self._open_state_dir()
        engine = choose_engine(options.engine, kernel_mode=bool(parameters.enable_kernel_ssl))
        opened = open_endpoints(configuration, (), inherited)
        try:
            names = Names(loop, self._look_up)
            unknown = await names.watch(routing.targets(configuration))
            codec = get_codec(options.codec)
            error_log = self._open_error_log()
            warnings = await self._helpers.start(options.workers)
            self.ca = self._helpers.ca
            self.warnings = [*configuration.warnings, *warnings, *unknown]
            access_log = AccessLog(loop, self._open_access_log(configuration))
            self._front = Front(
                loop=loop,
                parameters=parameters,
                profile=configuration.profile,
                engine=engine,
                codec=codec,
                supervisors=self._helpers.workers,
                verifier=self._helpers.verifier,
                journal=Journal(access_log, error_log, Closes()),
                deadlines=Deadlines(loop, self._sweep),
                capacity=self._capacity(loop),
                names=names,
            )
            self._front.apply(configuration, [endpoint for endpoint, _ in opened])
            self._listen(opened)
            if self.has_state_dir:
                self._admin = open_admin(options.state_dir, self._snapshot)
        except BaseException:
            await self.stop()
            close_all(opened)
            raise

    async def reload(self, configuration: Configuration) -> list[str]:
        """Serves ``configuration`` instead, without dropping a request; returns what a person
        should know.

        All or nothing: raises ConfigError, and then everything is as it was. An access log that
        cannot be opened is the exception: it goes on where it is, and the rest applies. What only a
        start can change (parameters that are not live, the profile, the engine) stays; in a profile
        without hot certificates nothing but the access log changes.
        """
        async with self._reloading:
            if not RULES[self.configuration.profile].hot_certificates:
                stream, notes = self._next_stream(self.configuration)
                self.front.journal.reopen_access_log(stream)
                return [*notes, NEEDS_RESTART]
            try:
                notes = await self._reload(configuration)
            except BaseException:
                self.front.names.keep(self.front.pools)
                raise
            return [*notes, *self.warnings, *self._pending(configuration)]

    def _pending(self, wanted: Configuration) -> list[str]:
        """What is configured and not in force: for the log."""
        now = self.front.parameters.by_name
        return [
            f"{name}={value} takes effect after restart (kssl restart); {now[name]} is in force"
            for name, value in wanted.parameters.by_name.items()
            if value != now[name]
        ]

    async def _reload(self, configuration: Configuration) -> list[str]:
        front, before = self.front, self.configuration
        unknown = await front.names.watch(routing.targets(configuration))
        await self._helpers.replace_hung()
        opened = open_endpoints(configuration, front.endpoints, _nothing)
        wanted = {address.binding for address in routing.endpoints(configuration)}
        given_up = [each for each in self._listeners if each.endpoint.binding not in wanted]
        stream: Stream | None = front.journal.access_log.stream
        try:
            for listener in given_up:
                listener.drain()
            stream, notes = self._next_stream(configuration)
            front.begin_reload()
            warnings = await self._helpers.reconfigure(configuration, before)
        except BaseException:
            front.end_reload()
            close_all(opened)
            if stream is not front.journal.access_log.stream:
                close_own(stream)
            raise
        kept = [each.endpoint for each in self._listeners if each not in given_up]
        # One that is not needed any more is about to end, and would answer nobody.
        front.verifier = self._helpers.verifier if self._helpers.judges(configuration) else None
        front.apply(configuration, [*kept, *(endpoint for endpoint, _ in opened)])
        front.journal.reopen_access_log(stream)
        self._listen(opened)
        for listener in given_up:
            listener.drain()
            listener.close()
            self._listeners.remove(listener)
        self.configuration = configuration
        self.ca = self._helpers.ca
        self.warnings = [*configuration.warnings, *warnings, *unknown]
        await self._helpers.settle(configuration)
        return notes

    def _sweep(self, now: float) -> None:
        """Twice a second."""
        self.front.sweep(now)
        self.front.journal.sweep()
        messages.sweep()

    def _listen(self, opened: Sequence[Opened]) -> None:
        front = self.front
        self._listeners += [Listener(front.loop, front, *pair) for pair in opened]

    async def _snapshot(self) -> dict[str, Any]:
        left = None if self._until is None else self._until - self.front.loop.time()
        return await snapshot(self.front, self.urls, self._started, left)

    def describe(self) -> dict[str, Any]:
        """The content of the ready file."""
        return {
            "url": self.url,
            "urls": self.urls,
            "ca": self.ca,
            "pid": os.getpid(),
            "worker_pids": [supervisor.pid for supervisor in self._helpers.workers],
            "verifier_pid": self._helpers.verifier.pid if self._helpers.verifier else None,
            "filter_pids": [
                supervisor.filter_pid
                for supervisor in self._helpers.workers
                if supervisor.filter_pid is not None
            ],
            "admin": str(self._admin.path) if self._admin is not None else None,
            "mode": self.front.mode,
            "engine": self.front.engine.name,
        }

    def write_ready_file(self) -> None:
        """If one is wanted: now that signals are heard and `kssl status` finds this service.

        Raises ConfigError.
        """
        if self.options.ready_file is not None:
            _write_ready_file(self.options.ready_file, self.describe())

    def leave_listeners(self) -> None:
        """Stop accepting, because a successor has the listening sockets."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()  # the ready file is the successor's by now

    async def hand_over(self) -> None:
        """A successor has the listening sockets: returns when all connections are over.

        Each ends with its next response, which says so. A client that sends none is gone after
        IdleConnectionTimeout at the latest; what is still there then, tunnels above all, after
        RestartGrace.
        """
        self.leave_listeners()
        self.front.end_with_next_response()
        self._until = self.front.loop.time() + self.restart_grace
        await self.front.wait_until_empty(self.restart_grace)

    async def stop(self) -> None:
        """Stops accepting, lets requests in progress finish (StopGrace), ends the workers."""
        if self._listeners:
            for listener in self._listeners:
                listener.close()
            if self.options.ready_file is not None:
                self.options.ready_file.unlink(missing_ok=True)
        if self._front is not None:
            front = self._front
            front.stopping = True
            front.give_up(front.endpoints)
            for connection in [c for c in front.connections if c.idle]:
                connection.end()
            end = self._until = front.loop.time() + self.stop_grace
            await self._unless_hurried(front.wait_until_empty(self.stop_grace))
            if front.connections:
                log.warning("stopping with requests in progress: %d", len(front.connections))
            for connection in list(front.connections):
                connection.end()
            left = max(SEND_GRACE, end - front.loop.time())
            await self._unless_hurried(front.wait_until_sent(left))
            await self._unless_hurried(front.wait_until_closed(ANSWER_GRACE))
            front.close_pools()
            front.deadlines.stop()
        if self._admin is not None:  # until now it can be asked what is left
            await self._admin.close()
            self._admin = None
        await self._helpers.stop()
        if self._front is not None:
            self._front.journal.close()

    def announce_stop(self) -> None:
        """Say what `stop` is going to wait for, and how to end at once."""
        busy = sum(not each.idle for each in self._front.connections) if self._front else 0
        if busy:
            log.warning(
                "stopping; requests in progress: %d, which have %g s (StopGrace); to end at once: "
                "the signal again (Ctrl-C, kill, kssl stop)",
                busy,
                self.stop_grace,
            )

    def hurry(self) -> None:
        """Make `stop`, begun or not, end what there is at once."""
        self._hurried.set()

    async def _unless_hurried(self, waiting: Coroutine[Any, Any, None]) -> None:
        """Return when ``waiting`` is over, or in a hurry."""
        tasks = {asyncio.create_task(waiting), asyncio.create_task(self._hurried.wait())}
        _, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    def _open_state_dir(self) -> None:
        """Raises ConfigError if there is none and something needs it."""
        try:
            ensure_state_dir(self.options.state_dir)
            ensure_state_dir(self.options.state_dir / FOLDER)
        except ConfigError as error:
            if _needs_state_dir(self.configuration):
                raise
            self.has_state_dir = False
            log.warning(
                "%s; without it `kssl status`, stop and restart do not find this one", error
            )

    # -- parts -----------------------------------------------------------------------------

    def _open_access_log(self, configuration: Configuration) -> Stream | None:
        return open_access_log(configuration.logs, self.options.streams)

    def _next_stream(self, configuration: Configuration) -> tuple[Stream | None, list[str]]:
        """Where the access log goes on after a reload, and lines for a person."""
        try:
            return self._open_access_log(configuration), []
        except ConfigError as error:
            # New certificates must not wait for logrotate to be set right.
            return self.front.journal.access_log.stream, [f"{error}; {_LOG_STAYS}"]

    def _capacity(self, loop: asyncio.AbstractEventLoop) -> Capacity:
        """Call it when the processes have started, so that what is left can be seen."""
        pids = [os.getpid(), *self._helpers.pids]
        memory = automatic_ceiling(memory_limit(), resident(pids))
        return Capacity(Poller.of(loop), FileLimit.now(), memory)

    def _open_error_log(self) -> ErrorLog:
        parameters = self.configuration.parameters
        if not parameters.enable_error_logging:
            return ErrorLog.off()
        folder = parameters.error_logging_dir or self.options.state_dir / "LogFiles"
        call_soon = asyncio.get_running_loop().call_soon
        return ErrorLog(
            Path(folder),
            parameters.error_log_file_truncate_size,
            time.time,
            call_soon,
            in_background=True,
        )


def _needs_state_dir(configuration: Configuration) -> bool:
    """Whether something is kept there: development certificates, what is fetched for client
    certificates, the HTTPERR log."""
    parameters = configuration.parameters
    return (
        any(
            not site.certificate and any(each.tls for each in site.bindings)
            for site in configuration.sites
        )
        or routing.verifier_settings(configuration, Path()) is not None
        or bool(parameters.enable_error_logging and not parameters.error_logging_dir)
    )


def _raise_file_limit() -> None:
    """Each connection needs two descriptors, and the usual soft limit is 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < _FILES:
        with contextlib.suppress(ValueError):  # only root may raise it
            resource.setrlimit(resource.RLIMIT_NOFILE, (_FILES, _FILES))
            return
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _write_ready_file(path: Path, content: dict[str, Any]) -> None:
    """Whole or not at all: whoever waits for the file may read it as soon as it exists."""
    try:
        write_public(path, json.dumps(content).encode() + b"\n")
    except ConfigError as error:
        raise ConfigError(f"ready file: {error}") from None
