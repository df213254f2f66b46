"""The admin socket ``STATE/run/PID.sock``: who connects gets one JSON document, and the end.

It reads nothing, so there is nothing to parse and nothing to be told what to do. Only the same
user or root may ask, and the file's mode sees to that: connecting needs the right to write to it
(unix(7)), which is 0600, in a folder that nobody else may write to.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from kssl.config import statedir
from kssl.config.errors import ConfigError, reason
from kssl.config.running import FOLDER, start_time

log = logging.getLogger("kssl")

# Clients that are answered at the same time. The next ones wait in the kernel's queue, of this
# length; whoever finds it full is refused there (EAGAIN).
MOST = 8
_QUEUE = 128

# Seconds for each, from accept to the end: the document is made and taken in a few milliseconds,
# unless a worker does not answer (`Supervisor.count`) or the client does not read.
LIMIT = 5.0

# Seconds without accepting after the process ran out of file descriptors.
_PAUSE = 0.2

_SUFFIX = ".sock"

# Bytes of sun_path without its NUL (unix(7)).
_LONGEST_NAME = 107


def admin_path(state_dir: Path, pid: int) -> Path:
    return state_dir / FOLDER / f"{pid}{_SUFFIX}"


@contextlib.contextmanager
def short_name(path: Path) -> Iterator[str]:
    """A name for `path` that bind and connect take, valid in the block: a longer one than they can
    hold is named by its folder's descriptor. Raises OSError."""
    if len(os.fsencode(path)) <= _LONGEST_NAME:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


class AdminSocket:
    """Listens from `open_admin` to `close`. `path` is absolute."""

    def __init__(
        self, path: Path, sock: socket.socket, document: Callable[[], Awaitable[dict[str, Any]]]
    ) -> None:
        self.path = path
        self._sock = sock
        self._document = document
        self._places = asyncio.Semaphore(MOST)
        self._tasks = {asyncio.create_task(self._accept())}

    async def close(self) -> None:
        """Whoever is being answered is cut off."""
        with contextlib.suppress(OSError):  # somebody has cleared the folder
            self.path.unlink()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._sock.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._places.acquire()
            try:
                client, _ = await loop.sock_accept(self._sock)
            except OSError as error:  # no descriptors left, say; the client waits in the queue
                self._places.release()
                log.warning("admin socket: %s; trying on", reason(error))
                await asyncio.sleep(_PAUSE)
                continue
            task = loop.create_task(self._answer(client))
            self._tasks.add(task)
            task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._places.release()

    async def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(TimeoutError, OSError):  # it has gone, or does not read
            client.setblocking(False)
            async with asyncio.timeout(LIMIT):
                try:
                    content = json.dumps(await self._document()).encode() + b"\n"
                except Exception:  # a mistake of ours must not end more than this answer
                    log.exception("internal error in the admin socket")
                    return
                await asyncio.get_running_loop().sock_sendall(client, content)


def open_admin(
    state_dir: Path, document: Callable[[], Awaitable[dict[str, Any]]]
) -> AdminSocket | None:
    """Begins to answer with what ``document`` returns. What dead processes have left is removed.

    None, and a warning in the log, if there can be no socket: the proxy works without.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        folder = statedir.ensure_state_dir(state_dir / FOLDER)
        _remove_stale(folder)
        path = folder / f"{os.getpid()}{_SUFFIX}"
        with short_name(path) as name:
            sock.bind(name)
            os.chmod(name, statedir.PRIVATE_FILE_MODE)  # nobody can connect before `listen`
        sock.listen(_QUEUE)
    except (OSError, ConfigError) as error:
        sock.close()
        why = reason(error) if isinstance(error, OSError) else error
        log.warning("no admin socket in %s, so `kssl status` shows less: %s", state_dir, why)
        return None
    return AdminSocket(path, sock, document)


def _remove_stale(folder: Path) -> None:
    """Of processes that were killed; and one with our own number, which must be older than we."""
    for path in folder.glob(f"*{_SUFFIX}"):
        pid = path.name.removesuffix(_SUFFIX)
        if pid.isdecimal() and (int(pid) == os.getpid() or not start_time(int(pid))):
            path.unlink(missing_ok=True)
