"""Starts ``kssl serve`` as a process that outlives its starter, and waits until it accepts."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kssl.config.errors import ConfigError
from kssl.fastpath.ipc.hardening import interpreter
from kssl.proxy.service.report import LISTENERS, PREDECESSOR, REPORT

# Seconds until it must accept: the crypto worker has 30 for its certificates.
START_LIMIT = 45.0

_MAX_REPORT = 1 << 20


def _nobody(process: subprocess.Popen[bytes]) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A service that accepts. It lives on when its starter ends."""

    process: subprocess.Popen[bytes]
    urls: list[str]

    @property
    def pid(self) -> int:
        return self.process.pid


class LaunchError(ConfigError):
    """It did not come up; `lines` are what it said."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = tuple(lines)
        super().__init__("; ".join(lines))


def launch(
    arguments: Sequence[str],
    *,
    folder: Path,
    output: int | None = None,
    listeners: Mapping[str, Sequence[socket.socket]] | None = None,
    new_session: bool = False,
    began: Callable[[subprocess.Popen[bytes]], None] = _nobody,
) -> Launched:
    """Runs ``kssl ARGUMENTS`` in `folder` and returns once it accepts. Blocks.

    output: a descriptor for its stderr; None: ours. listeners: sockets that it takes over, by the
    text of their `Binding`. new_session: it does not end with our terminal. began: is told of the
    process at once, and may end it.
    Raises LaunchError.
    """
    reading, writing = os.pipe()
    try:
        inherited = {
            name: [sock.fileno() for sock in sockets] for name, sockets in (listeners or {}).items()
        }
        environment = os.environ | {REPORT: str(writing), LISTENERS: json.dumps(inherited)}
        if listeners:
            environment[PREDECESSOR] = str(os.getpid())
        try:
            process = subprocess.Popen(
                [*interpreter(folder), "-m", "kssl.proxy", *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[
                    writing,
                    *(number for numbers in inherited.values() for number in numbers),
                ],
                start_new_session=new_session,
            )
        except OSError as error:
            raise LaunchError([f"cannot start kssl in {folder}: {error.strerror}"]) from None
        finally:
            os.close(writing)
        began(process)
        return _wait(process, reading)
    finally:
        os.close(reading)


def _wait(process: subprocess.Popen[bytes], reading: int) -> Launched:
    text, end = b"", time.monotonic() + START_LIMIT
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            process.kill()
            process.wait()
            raise LaunchError([f"the service was not ready after {START_LIMIT:.0f} s"])
        part = os.read(reading, 65536)
        if not part:
            break
        text += part
        if len(text) > _MAX_REPORT:
            break
    try:
        told = json.loads(text)
        if "urls" in told:
            return Launched(process, told["urls"])
        lines = [str(line) for line in told["errors"]]
    except (ValueError, TypeError, KeyError):
        lines = []
    code = process.wait()
    raise LaunchError(lines or [f"the service ended at once with exit code {code}"])
