"""Keeps key material out of core files and away from other processes of the same user.

Pages may still be swapped out: mlockall(2) needs a privilege or a limit that a user's processes
do not have by default (64 KiB or 8 MiB). Encrypted swap is the machine's business.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def protect_memory() -> None:
    """No core file; no ptrace and no /proc/PID/mem for anyone but root (prctl(2))."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):  # another libc; the limit above holds
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def close_inherited(keep: int) -> None:
    """Closes every descriptor but the standard streams and ``keep``.

    Python opens nothing inheritable, but others may: uvloop's children get a second copy of the
    standard streams, and a parent's parent may have forgotten something.
    """
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep:
            with contextlib.suppress(OSError):  # the listing's own
                os.close(int(name))
