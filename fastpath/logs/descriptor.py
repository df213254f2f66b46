"""An open descriptor that lines are written to: a file, a pipe, a terminal, a socket."""

from __future__ import annotations

import contextlib
import os
import select
import stat

# Bytes that a pipe takes whole or not at all (pipe(7)), so that the lines of several processes do
# not run into each other.
_ATOMIC = select.PIPE_BUF

# Bytes for a single call otherwise. A disk takes that in well under a millisecond.
_PIECE = 256 * 1024


class Descriptor:
    """What `LineWriter` writes to. Calls may block, also for ever: they are for its thread.

    The descriptor's flags stay as they are. Standard error is shared with other processes, and
    O_NONBLOCK would be set for all of them.
    """

    def __init__(self, fd: int, *, own: bool) -> None:
        """``own``: the descriptor is closed with this object."""
        self._fd = fd
        self._own = own
        mode = os.fstat(fd).st_mode
        self._most = _ATOMIC if stat.S_ISFIFO(mode) else _PIECE
        # Of a writer before us, that died or met a full disk.
        self._half_line = stat.S_ISREG(mode) and not _ends_a_line(fd)

    def write(self, data: bytes, start: int) -> int:
        """Write some of ``data`` from ``start`` on, whole lines if they are not too long. Return
        where the rest begins. Raises OSError; BlockingIOError: `wait` first."""
        if self._half_line:
            os.write(self._fd, b"\n")
            self._half_line = False
        end = start + self._most
        if end < len(data):
            end = data.rfind(b"\n", start, end) + 1 or end
        return start + os.write(self._fd, memoryview(data)[start:end])

    def wait(self, seconds: float) -> bool:
        """Return whether it takes something, as soon as it does, or after ``seconds``."""
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return any(events & select.POLLOUT for _, events in poll.poll(seconds * 1000))

    def close(self) -> None:
        if self._own and self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


def _ends_a_line(fd: int) -> bool:
    """Whether what is appended to this file begins a line. True if nobody can tell."""
    with contextlib.suppress(OSError):  # without /proc, or without the right to read
        reading = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.fstat(reading).st_size
            return size == 0 or os.pread(reading, 1, size - 1) == b"\n"
        finally:
            os.close(reading)
    return True
