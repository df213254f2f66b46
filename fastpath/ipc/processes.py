"""The processes behind a link: a worker, and with two hops the filter in front of it.

Each is a fresh process, never a fork of the running event loop: a worker inherits nothing but its
end of the socketpair and the paths of its files.

    one hop    front end ── worker
    two hops   front end ── filter ── worker: each ends when its neighbour does

A verifier is started in the same way, with one hop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from kssl.fastpath.ipc.hardening import interpreter
from kssl.fastpath.tls.openssl_conf import OPENSSL_CONF

log = logging.getLogger("kssl")

# How long a process may take to end when its link is closed, in seconds: a dying one has the time
# to say why on stderr.
_END_LIMIT = 2.0

# LD_LIBRARY_PATH, because some builds of Python find their own library by it.
_ENVIRONMENT = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONUSERBASE",
    "TZ",
)


@dataclass(frozen=True, slots=True)
class Helper:
    """A kind of process that can be supervised: the module that runs, and its name for people."""

    module: str
    name: str


WORKER = Helper("kssl.fastpath.worker", "crypto worker")
VERIFIER = Helper("kssl.fastpath.verifier", "certificate verifier")


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes behind one link: a worker, and with two hops the filter in front of it."""

    worker: asyncio.subprocess.Process
    filter: asyncio.subprocess.Process | None
    helper: Helper

    def __str__(self) -> str:
        filtered = f" or its filter {self.filter.pid}" if self.filter is not None else ""
        return f"{self.helper.name} {self.worker.pid}{filtered}"

    async def end(self) -> None:
        """Wait until they are gone, after their link was closed."""
        if self.filter is not None:  # first: the worker hears of the end by it
            await _end(self.filter, "filter")
        await _end(self.worker, self.helper.name)


async def spawn(
    helper: Helper, hops: int, openssl_conf: Path = OPENSSL_CONF
) -> tuple[socket.socket, Processes]:
    """Start the processes behind a link, and return our end of it and them."""
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            if hops == 1:
                process = await _python(helper.module, theirs, openssl_conf=openssl_conf)
                return ours, Processes(process, None, helper)
            return ours, await _spawn_filtered(helper, theirs, openssl_conf)
    except BaseException:
        ours.close()
        raise


async def _spawn_filtered(helper: Helper, link: socket.socket, openssl_conf: Path) -> Processes:
    filters, workers = socket.socketpair()
    with filters:
        with workers:
            worker = await _python(helper.module, workers, openssl_conf=openssl_conf)
        try:
            return Processes(worker, await _python("kssl.fastpath.filter", link, filters), helper)
        except BaseException:
            filters.close()
            await _end(worker, helper.name)
            raise


async def _python(
    module: str, *ends: socket.socket, openssl_conf: Path = OPENSSL_CONF
) -> asyncio.subprocess.Process:
    """Start a process that runs ``module`` with these ends of socketpairs."""
    descriptors = [end.fileno() for end in ends]
    return await asyncio.create_subprocess_exec(
        *interpreter(),
        "-m",
        module,
        *map(str, descriptors),
        pass_fds=descriptors,
        stdin=asyncio.subprocess.DEVNULL,
        env=environment(openssl_conf),
    )


def environment(openssl_conf: Path = OPENSSL_CONF) -> dict[str, str]:
    """Return what an interpreter needs to start and to find its modules, and no more.

    Above all, nothing that adds code to the process or makes it write secrets: LD_PRELOAD,
    SSLKEYLOGFILE, an OPENSSL_CONF of somebody else's.
    """
    inherited = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
    return inherited | {"OPENSSL_CONF": str(openssl_conf)}


async def _end(process: asyncio.subprocess.Process, name: str) -> None:
    """Wait for a process whose link is closed; kill it after `_END_LIMIT`."""
    try:
        async with asyncio.timeout(_END_LIMIT):
            await process.wait()
    except TimeoutError:
        log.error("%s %d does not end; killing it", name, process.pid)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
