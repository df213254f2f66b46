"""What each of our processes does first, to keep key material away from others.

No core files, no access by other processes of the same user, no inherited descriptors.

Pages may still be swapped out: mlockall(2) needs a privilege or a limit that a user's processes
do not have by default (64 KiB or 8 MiB). Encrypted swap is the machine's business.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path

from kssl.fastpath.logs.standard import open_missing

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def protect_memory() -> None:
    """Forbid core files, and ptrace and /proc/PID/mem to everyone but root (prctl(2))."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, AttributeError):  # another libc; the limit above holds
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def interpreter(folder: Path | None = None) -> list[str]:
    """Return the command that runs ``-m MODULE`` of ours in ``folder``; None: the current one.

    ``-m`` puts that folder first on the path, and in /tmp, say, anybody may have put a module of
    our name: it would get the private keys. Only if we were imported from there ourselves does the
    process need it.
    """
    root = Path(__file__).parents[3]  # of kssl
    with contextlib.suppress(OSError):  # the folder is gone
        if root.samefile(folder or Path.cwd()):
            return [sys.executable]
    return [sys.executable, "-P"]


def become_helper(*links: int) -> None:
    """Set up a process behind the front end; of its descriptors it keeps ``links``."""
    # Ctrl-C in a terminal and a service manager's stop reach the whole group, but requests in
    # progress still need this process: the front end decides when it ends.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    protect_memory()
    open_missing()
    close_inherited(*links)


def close_inherited(*keep: int) -> None:
    """Close every descriptor but the standard streams and ``keep``.

    Python opens nothing inheritable, but others may: uvloop's children get a second copy of the
    standard streams, and a parent's parent may have forgotten something.
    """
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in keep:
            with contextlib.suppress(OSError):  # the listing's own
                os.close(int(name))
