"""`kssl ARGUMENTS` within this process: `main`, with its own standard streams and environment.

A start of the interpreter costs some 0.2 s, which is far more than most commands take. That a
process of its own says and returns the same is what `test_as_a_process` looks at.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO
from unittest import mock

from kssl.proxy.cli import main

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGUSR2)


def run_inside(
    arguments: tuple[str, ...], environment: Mapping[str, str], stdin: str | bytes = b""
) -> subprocess.CompletedProcess[str]:
    """Return what a process that runs `kssl` would be, had it ended."""
    given = stdin.encode() if isinstance(stdin, str) else stdin
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
        files[0].write(given)
        files[0].seek(0)
        with _streams(files), _surroundings(["kssl", *arguments], environment):
            code = _code()
        told = [_text(file) for file in files[1:]]
    return subprocess.CompletedProcess(
        [sys.executable, "-m", "kssl.proxy", *arguments], code, *told
    )


def _code() -> int:
    """Return the exit code that the interpreter would make of `main`."""
    try:
        return main()
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="surrogateescape")


@contextlib.contextmanager
def _streams(files: Sequence[IO[bytes]]) -> Iterator[None]:
    """Descriptors 0, 1 and 2 are ``files``, for processes that are started too."""
    kept = [os.dup(number) for number in range(3)]
    before = sys.stdin, sys.stdout, sys.stderr
    for stream in before[1:]:
        stream.flush()
    for number, file in enumerate(files):
        os.dup2(file.fileno(), number)
    try:
        with (
            open(0, closefd=False) as sys.stdin,
            open(1, "w", errors="surrogateescape", closefd=False) as sys.stdout,
            open(2, "w", errors="backslashreplace", closefd=False, buffering=1) as sys.stderr,
        ):
            yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)


@contextlib.contextmanager
def _surroundings(argv: list[str], environment: Mapping[str, str]) -> Iterator[None]:
    """The arguments, the environment, and nothing of what pytest has set up for logging."""
    handlers, folder = logging.root.handlers[:], Path.cwd()
    signals = {number: signal.getsignal(number) for number in _SIGNALS}
    logging.root.handlers[:] = []
    try:
        with mock.patch.object(sys, "argv", argv), mock.patch.dict(
            os.environ, environment, clear=True
        ):  # fmt: skip
            yield
    finally:
        os.chdir(folder)
        logging.root.handlers[:] = handlers
        for number, handler in signals.items():
            signal.signal(number, handler)
