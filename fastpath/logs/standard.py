"""Descriptors 0, 1 and 2: there, and written to without waiting."""

from __future__ import annotations

import functools
import os
import sys

from kssl.fastpath.logs.descriptor import Descriptor
from kssl.fastpath.logs.writer import LineWriter

STDOUT = 1
STDERR = 2

# Bytes that wait for a reader, for each of the two. The access log may be among them: that is a
# second of it under full load.
LIMIT = 8 << 20

_NAMES = {STDOUT: "standard output", STDERR: "standard error"}


def open_missing() -> None:
    """Open /dev/null on each standard descriptor that the process was started without.

    To be called before anything else opens a file: it would get that number, and a program that
    writes to standard error would write into it. libuv aborts when it finds one of its own there.
    """
    for fd in (0, STDOUT, STDERR):
        try:
            os.fstat(fd)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != fd:
                os.dup2(opened, fd)
                os.close(opened)
            os.set_inheritable(fd, True)
    # Python has None for a stream whose descriptor was closed.
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


@functools.cache
def standard(fd: int) -> LineWriter:
    """Return the writer of standard output or standard error: one for all that writes there, so
    that the order is kept. It stays open as long as the process."""
    return LineWriter(
        Descriptor(fd, own=False),
        name=_NAMES[fd],
        limit=LIMIT,
        remark=b"kssl: %d lines before this one were lost: nobody has read them\n",
    )
