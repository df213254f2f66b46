"""The process's own log: what `logging` and ``sys.stderr`` get, on standard error.

Whatever is written there in Python goes through one `LineWriter`: messages, tracebacks, warnings,
what the event loop says of a callback that failed. Messages that peers cause carry their kind
(``extra=limited("Handshake")``) and are limited by it.
"""

from __future__ import annotations

import atexit
import faulthandler
import io
import logging
import os
import sys
import threading
from functools import lru_cache

from kssl.fastpath.logs.allowance import Allowance
from kssl.fastpath.logs.standard import STDERR, standard
from kssl.fastpath.logs.writer import LineWriter

# Messages of one kind within so many seconds.
MOST = 20
SECONDS = 10.0

# Seconds for the last lines when the process ends.
_LAST = 0.5

# Bytes of a line without its end. Nobody means to write a longer one.
_LONGEST = 64 * 1024


@lru_cache
def limited(name: str) -> dict[str, str]:
    """Return what `logging` takes as ``extra``, for a message that a peer can cause again and
    again. ``name``: what the line calls it that says how many were left out."""
    return {"kind": name}


class LineText(io.TextIOBase):
    """A text stream over a `LineWriter`, in place of ``sys.stderr``. A line that is not complete
    waits for its end, for each thread by itself."""

    def __init__(self, writer: LineWriter, fd: int) -> None:
        self._writer = writer
        self._fd = fd
        self._begun = threading.local()

    def write(self, text: str) -> int:
        data = getattr(self._begun, "line", b"") + text.encode("utf-8", "backslashreplace")
        lines, newline, rest = data.rpartition(b"\n")
        if len(rest) > _LONGEST:
            lines, newline, rest = data, b"\n", b""
        self._begun.line = rest
        if newline:
            self._writer.write(lines + newline)
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)


class Messages(logging.Handler):
    """Writes log messages to ``sys.stderr``, with a limit for each kind."""

    def __init__(self, name: str, allowance: Allowance | None = None) -> None:
        """``name``: what each line begins with."""
        super().__init__()
        self.setFormatter(logging.Formatter(f"{name}: %(message)s"))
        self._name = name
        self._allowance = allowance or Allowance(MOST, SECONDS)

    @property
    def left_out(self) -> dict[str, int]:
        """Messages left out since the start, by kind."""
        return dict(self._allowance.left_out)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            of_kind = getattr(record, "kind", None)
            if of_kind is None or self._allowance.allows(of_kind):
                sys.stderr.write(self.format(record) + "\n")
        except Exception:
            self.handleError(record)

    def sweep(self) -> None:
        """Say what was left out in the intervals that are over. To be called from time to time."""
        self.acquire()
        try:
            self._tell(self._allowance.over())
        finally:
            self.release()

    def flush(self) -> None:
        """Say what was left out until now. `logging` calls it at the end of the process."""
        self.acquire()
        try:
            self._tell(self._allowance.rest())
        finally:
            self.release()

    def _tell(self, left_out: list[tuple[str, int]]) -> None:
        for of_kind, number in left_out:
            sys.stderr.write(
                f"{self._name}: {of_kind}: {number} more like these were left out within "
                f"{self._allowance.seconds:.0f} s\n"
            )


_taken: Messages | None = None


def take_over(name: str) -> Messages:
    """Send messages and ``sys.stderr`` through a `LineWriter` from now on; once for a process.

    Somebody who has replaced ``sys.stderr`` or configured `logging` before keeps what they have.
    """
    global _taken
    if _taken is None:
        if sys.stderr is sys.__stderr__ or sys.stderr is None:
            sys.stderr = LineText(standard(STDERR), STDERR)
            atexit.register(finish)
            _faults_do_not_wait()
        _taken = Messages(name)
        root = logging.getLogger()
        if not root.handlers:
            root.addHandler(_taken)
    return _taken


def sweep() -> None:
    """`Messages.sweep`, if `take_over` was called."""
    if _taken is not None:
        _taken.sweep()


def left_out() -> dict[str, int]:
    """`Messages.left_out`; nothing if `take_over` was not called."""
    return _taken.left_out if _taken is not None else {}


def lost() -> int:
    """Return how many lines standard error did not take since the start."""
    return standard(STDERR).lost


def told() -> dict[str, int]:
    """Return what a process behind the front end adds to its counts; nothing if nothing was lost.
    It is asked every ten seconds (`kssl.fastpath.ipc.watch`), which is also the time for
    `sweep`."""
    sweep()
    number = lost()
    return {"lost": number} if number else {}


def finish() -> None:
    """Write what there is, within half a second. The interpreter calls it at its end; a process
    that ends without it has to."""
    logging.shutdown()  # says what was left out
    standard(STDERR).close(_LAST)


def _faults_do_not_wait() -> None:
    """The fault handler writes by itself, while the process dies, and must not wait either. It
    gets a description of its own of what standard error is, if there can be one."""
    if not faulthandler.is_enabled():
        return
    flags = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        faulthandler.enable(os.open(f"/proc/self/fd/{STDERR}", flags))
    except OSError:  # a socket, say
        faulthandler.disable()
