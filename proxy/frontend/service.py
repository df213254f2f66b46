"""The service: workers, listener and upstream put together, from start to stop.

Service.start → Supervisor (crypto worker) → Listener → ClientConnection …
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import resource
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from config.errors import ConfigError
from config.parameters import Parameters
from config.statedir import ensure_state_dir, write_public
from config.target import Listen, Target
from fastpath.engines.registry import choose_engine
from fastpath.hardening import protect_memory
from fastpath.worker.supervisor import Supervisor, WorkerRefusedError, WorkerSettings
from proxy.accesslog import AccessLog
from proxy.frontend.deadlines import Deadlines
from proxy.frontend.front import Front
from proxy.frontend.listener import Listener, open_listener
from proxy.http.codec import get_codec
from proxy.http.messages import Limits
from proxy.upstream.pool import Pool

log = logging.getLogger("kssl")

# How long a stopping service lets requests in progress finish, in seconds.
STOP_GRACE = 10.0

# Open files to ask for where root may: some 30,000 connections, each with one to the upstream.
_FILES = 65536

# And, if that is over, how long the last bytes may still take, in seconds.
SEND_GRACE = 1.0

_UNUSED_HOPS = (
    "UserModeHops=2 has no effect in kernel mode; add --mode user (EnableKernelSSL=0) or drop it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOptions:
    """What `kssl serve` was told."""

    target: Target
    listen: Listen
    state_dir: Path
    parameters: Parameters = field(default_factory=Parameters)
    engine: str = "auto"  # of kernel mode
    codec: str = "auto"
    workers: int = 1
    certificate: Path | None = None
    key: Path | None = None
    names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    access_log: BinaryIO | None = None
    ready_file: Path | None = None


class Service:
    """One running proxy."""

    def __init__(self, options: ServiceOptions) -> None:
        self.options = options
        self.ca: str | None = None
        self.warnings: list[str] = []
        self._front: Front | None = None
        self._listener: Listener | None = None
        self._supervisors: list[Supervisor] = []

    @property
    def front(self) -> Front:
        assert self._front is not None, "not started"
        return self._front

    @property
    def url(self) -> str:
        host = self.options.listen.host
        shown = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::", "::1") else host  # noqa: S104
        if ":" in shown:
            shown = f"[{shown}]"
        return f"https://{shown}" + ("" if self.front.port == 443 else f":{self.front.port}")

    async def start(self) -> None:
        """Raises ConfigError when something in the options cannot work."""
        options, parameters = self.options, self.options.parameters
        loop = asyncio.get_running_loop()
        protect_memory()
        _raise_file_limit()
        ensure_state_dir(options.state_dir)
        engine = choose_engine(options.engine, kernel_mode=bool(parameters.enable_kernel_ssl))
        sock = open_listener(options.listen)
        try:
            await self._start_workers()
            pool = Pool(loop, options.target, parameters.upstream_connect_timeout)
            codec = get_codec(options.codec)
            deadlines = Deadlines(loop, lambda now: self.front.sweep(now))
            self._front = Front(
                loop=loop,
                parameters=parameters,
                engine=engine,
                codec=codec,
                limits=Limits(
                    max_field_length=parameters.max_field_length,
                    max_request_bytes=parameters.max_request_bytes,
                ),
                pool=pool,
                supervisors=self._supervisors,
                access_log=AccessLog(loop, options.access_log),
                deadlines=deadlines,
                port=sock.getsockname()[1],
            )
            self._listener = Listener(loop, self._front, sock)
            if options.ready_file is not None:
                _write_ready_file(options.ready_file, self.describe())
        except BaseException:
            await self.stop()
            sock.close()
            raise

    def describe(self) -> dict[str, Any]:
        """The content of the ready file."""
        return {
            "url": self.url,
            "ca": self.ca,
            "pid": os.getpid(),
            "worker_pids": [supervisor.pid for supervisor in self._supervisors],
            "filter_pids": [
                supervisor.filter_pid
                for supervisor in self._supervisors
                if supervisor.filter_pid is not None
            ],
            "admin": None,
            "mode": self.front.mode,
            "engine": self.front.engine.name,
        }

    async def stop(self) -> None:
        """Stops accepting, lets requests in progress finish (`STOP_GRACE`), ends the workers."""
        if self._listener is not None:
            self._listener.close()
            if self.options.ready_file is not None:
                self.options.ready_file.unlink(missing_ok=True)
        if self._front is not None:
            front = self._front
            front.stopping = True
            for connection in [c for c in front.connections if c.idle]:
                connection.end()
            end = front.loop.time() + STOP_GRACE
            await front.wait_until_empty(STOP_GRACE)
            if front.connections:
                log.warning("stopping with %d requests in progress", len(front.connections))
            for connection in list(front.connections):
                connection.end()
            await front.wait_until_sent(max(SEND_GRACE, end - front.loop.time()))
            front.pool.close()
            front.deadlines.stop()
            front.access_log.flush()
        await self._stop_workers()

    async def _start_workers(self) -> None:
        options, parameters = self.options, self.options.parameters
        kernel_mode = bool(parameters.enable_kernel_ssl)
        settings = WorkerSettings(
            state_dir=str(options.state_dir),
            kernel_mode=kernel_mode,
            tls={
                "certificates": [
                    {
                        "certificate": _absolute(options.certificate),
                        "key": _absolute(options.key),
                        "names": list(options.names),
                        "policy": "",
                    }
                ],
                "endpoints": [{"names": {}, "default": 0}],
            },
        )
        # In kernel mode nothing crosses after the handshake: no filter.
        hops = 1 if kernel_mode else parameters.user_mode_hops
        unused = [_UNUSED_HOPS] if hops != parameters.user_mode_hops else []
        for _ in range(options.workers):
            supervisor = Supervisor(settings, hops=hops)
            try:
                answer = await supervisor.start()
            except WorkerRefusedError as error:
                raise ConfigError(str(error)) from None
            self._supervisors.append(supervisor)
            self.ca = answer["ca"]
            self.warnings = [*unused, *answer["warnings"]]

    async def _stop_workers(self) -> None:
        await asyncio.gather(*(supervisor.stop() for supervisor in self._supervisors))
        self._supervisors.clear()


def _absolute(path: Path | None) -> str | None:
    return str(path.absolute()) if path is not None else None


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
