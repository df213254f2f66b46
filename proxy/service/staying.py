"""What a service in the foreground does when its successor serves: it stays until that one ends.

Otherwise the shell would give its prompt back while the successor writes to the terminal, where no
Ctrl-C could reach it; and a container would end with its first process.
"""

from __future__ import annotations

import os
import signal
import subprocess
from types import FrameType

# Sent on. Ctrl-C is not: the terminal sends it to all processes in its foreground.
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)


def must_stay() -> bool:
    """Whether this process has a terminal, or is the first of a container."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return os.getpid() == 1
    return True


def stay_with(successor: subprocess.Popen[bytes]) -> int:
    """Return its exit code when it has ended. Blocks; call it in the main thread."""

    def pass_on(number: int, frame: FrameType | None) -> None:
        successor.send_signal(number)

    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = successor.wait()
    return code if code >= 0 else 128 - code  # as shells do
