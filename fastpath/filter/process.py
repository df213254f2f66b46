"""The filter's process: whatever comes from one side goes to the other, as it came.

One thread for each direction, with blocking calls and one fixed buffer. The two must not wait for
each other: the worker stops reading while it writes, so a relay that stopped reading its answers
because its own write blocks would stand still with it. A loop around poll() can do that too, but
took 1.09, 1.01 and 1.11 times the CPU time when it was tried in place of the threads (12 B, 10 KiB
and 10 MiB under the loads of `kssl bench`, medians of 9 rounds in one run).

Plaintext passes through here, so the process is as secretive as the worker.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading

from kssl.fastpath.ipc.hardening import become_helper
from kssl.fastpath.logs import messages

# More than the kernel holds for a socketpair by default (208 KiB), in bytes: a batch that has
# arrived is read with one call.
_BUFFER_SIZE = 256 * 1024


def relay(source: socket.socket, destination: socket.socket) -> None:
    """Passes on what ``source`` says until either of the two has ended; then both have."""
    buffer = memoryview(bytearray(_BUFFER_SIZE))
    with contextlib.suppress(OSError):  # one that died with something unread, or is gone
        while received := source.recv_into(buffer):
            destination.sendall(buffer[:received])
    for sock in (source, destination):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)  # wakes the other direction, wherever that waits


def main() -> int:
    """``python -m kssl.fastpath.filter FRONT_FD WORKER_FD``: one end of each of two socketpairs."""
    front_fd, worker_fd = int(sys.argv[1]), int(sys.argv[2])
    become_helper(front_fd, worker_fd)
    messages.take_over("kssl filter")
    with socket.socket(fileno=front_fd) as front, socket.socket(fileno=worker_fd) as worker:
        answers = threading.Thread(target=relay, args=(worker, front))
        answers.start()
        relay(front, worker)
        answers.join()
    return 0
