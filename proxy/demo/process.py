"""Start the demo application in a process of its own, and stop it.

This module does not import uvicorn: what starts the app does not pay for it.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from types import TracebackType
from typing import Self

from kssl.fastpath.ipc.hardening import interpreter

_START_SECONDS = 20.0
_STOP_SECONDS = 5.0


class DemoStartError(RuntimeError):
    """The demo application did not start."""


class DemoProcess:
    """A running demo application; as a context manager it stops at the end."""

    def __init__(self, port: int, process: subprocess.Popen[bytes], lifeline: int) -> None:
        self.port = port
        self.process = process
        self._lifeline = lifeline

    def stop(self) -> None:
        """Stop the process and wait until it is gone; again is harmless."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1
        _end(self.process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def start_demo_app(
    port: int = 0, *, certfile: str | None = None, keyfile: str | None = None
) -> DemoProcess:
    """Start the app on 127.0.0.1 (HTTPS with a certificate) and wait until it accepts."""
    ready, ready_child = os.pipe()
    # The child lives as long as this pipe's writing end, which dies with this process however
    # that ends. (PR_SET_PDEATHSIG would fire when the *thread* that started the child ends.)
    lifeline_child, lifeline = os.pipe()
    command = [*interpreter(), "-m", "kssl.proxy.demo.server", "--port", str(port)]
    command += ["--ready-fd", str(ready_child), "--lifeline-fd", str(lifeline_child)]
    if certfile is not None and keyfile is not None:
        command += ["--certfile", certfile, "--keyfile", keyfile]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            pass_fds=(ready_child, lifeline_child),
            # Out of the terminal's foreground group: Ctrl-C reaches only the parent, which stops
            # its proxy first and then the app behind it.
            process_group=0,
        )
    except BaseException:
        os.close(ready)
        os.close(lifeline)
        raise
    finally:
        os.close(ready_child)
        os.close(lifeline_child)
    try:
        bound = _wait_ready(ready)
    except BaseException:
        os.close(lifeline)
        _end(process)
        raise
    finally:
        os.close(ready)
    return DemoProcess(bound, process, lifeline)


def _wait_ready(fd: int) -> int:
    deadline = time.monotonic() + _START_SECONDS
    text = b""
    while not text.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            raise DemoStartError(f"the demo app did not start within {_START_SECONDS:g} s")
        piece = os.read(fd, 64)
        if not piece:
            raise DemoStartError("the demo app ended at its start; see its message above")
        text += piece
    return int(text)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
