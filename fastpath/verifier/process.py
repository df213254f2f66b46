"""The verifier's process: one loop over one socketpair, as the worker's.

The loop judges, which takes a millisecond, and answers all that have arrived at once. It never
waits for the network: threads do, and wake it when they have an answer (`searching`). Everything
but what they need for themselves belongs to the loop, so that little has to be locked.

Writing may block while the front end does not read, which it always does.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import sys
import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kssl.fastpath.ipc import collector
from kssl.fastpath.ipc.frames import MAX_PAYLOAD, FrameType, Joined, parse, pieces
from kssl.fastpath.ipc.hardening import become_helper
from kssl.fastpath.ipc.output import Output
from kssl.fastpath.logs import messages
from kssl.fastpath.verifier.kept import Kept
from kssl.fastpath.verifier.policies import UnusableError, load, restore
from kssl.fastpath.verifier.questions import Questions

_BUFFER_SIZE = 4 * MAX_PAYLOAD  # several of the largest frames

# How long the threads of each pool may take to end when the front end is gone, in seconds; there
# are four, and the supervisor waits two seconds. A connection attempt cannot be interrupted.
_END_LIMIT = 0.3

# Seconds after which a thread that computes lets the loop go on. Python's own are ten times as
# many, for each of the threads that read what a server has sent, in chunks of one byte if it likes.
_SWITCH = 0.0005


def utc_now() -> datetime:
    return datetime.now(UTC)


class Verifier:
    """All questions of one front end. To be closed, also if `run` raised."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        """``clock``: seconds, never goes back; ``now``: the time of verdicts."""
        self._sock = sock
        self._now = now
        self._output = Output(sock)
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._buffer = memoryview(bytearray(_BUFFER_SIZE))
        self._have = 0
        self._settings = Joined()
        self._kept: Kept | None = None  # with the first settings
        self._configured = False
        self._questions = Questions(
            self._verdict, lambda: os.eventfd_write(self._wake, 1), clock, now
        )

    def run(self) -> None:
        """Returns when the front end closes its end of the socketpair."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._sock, selectors.EVENT_READ, self._read)
            selector.register(self._wake, selectors.EVENT_READ, self._collect)
            while True:
                for key, _ in selector.select():
                    if not key.data():
                        return
                self._output.flush()

    def close(self) -> bool:
        """False: a thread still hangs in a connection attempt. It is a daemon."""
        ended = self._questions.close(_END_LIMIT)
        os.close(self._wake)
        return ended

    def _read(self) -> bool:
        """False: the front end is gone."""
        view = self._buffer
        received = self._sock.recv_into(view[self._have :])
        if not received:
            return False
        self._have += received
        done = 0
        for kind, connection, start, end in parse(view, self._have):
            self._handle(kind, connection, view[start:end])
            done = end
        if done:
            view[: self._have - done] = bytes(view[done : self._have])
            self._have -= done
        return True

    def _collect(self) -> bool:
        os.eventfd_read(self._wake)
        self._questions.collect()
        return True

    def _handle(self, kind: int, identifier: int, payload: memoryview) -> None:
        if kind == FrameType.JUDGE:
            if not self._configured:
                raise RuntimeError("JUDGE before CONFIGURE")
            self._questions.ask(identifier, payload)
        elif kind == FrameType.END:
            self._questions.end(identifier)
        elif kind == FrameType.COUNT:
            count = self._questions.count
            counts = {"connections": count, "handshakes": count, **messages.told()}
            self._output.frame(FrameType.COUNTS, 0, json.dumps(counts).encode())
        elif kind in (FrameType.CONFIGURE, FrameType.RECONFIGURE, FrameType.RESTORE):
            settings = self._settings.add(payload)
            if settings is not None:
                self._configure(json.loads(settings), FrameType(kind))
        else:
            raise RuntimeError(f"unknown frame type {kind}")

    def _verdict(self, identifier: int, packed: bytes) -> None:
        self._output.frame(FrameType.VERDICT, identifier, packed)

    def _configure(self, wanted: dict[str, Any], kind: FrameType) -> None:
        """All or nothing, except for RESTORE. New questions wait meanwhile."""
        again = kind == FrameType.RECONFIGURE
        state_dir = Path(wanted["state_dir"])
        if not again and self._kept is not None:
            raise RuntimeError("CONFIGURE a second time")
        if again and not self._configured:
            raise RuntimeError("RECONFIGURE before CONFIGURE")
        if self._kept is None:
            self._kept = Kept(state_dir)
        elif state_dir != self._kept.state_dir:
            raise RuntimeError("RECONFIGURE with another state folder")
        try:
            known = self._kept.load(self._now())
            loaded = (restore if kind == FrameType.RESTORE else load)(wanted, known)
        except UnusableError as error:
            self._answer(FrameType.REFUSED, "\n".join(error.problems).encode())
            return
        problems = [line for text in loaded.broken.values() for line in text.split("\n")]
        self._answer(
            FrameType.READY,
            json.dumps({"warnings": self._kept.warnings, "problems": problems}).encode(),
        )
        self._configured = True
        self._questions.configure(loaded, self._kept)

    def _answer(self, kind: FrameType, payload: bytes) -> None:
        for piece in pieces(payload):
            self._output.frame(kind, 0, piece)


def main() -> int:
    """``python -m kssl.fastpath.verifier FD``: FD is the verifier's end of the socketpair."""
    link = int(sys.argv[1])
    become_helper(link)
    messages.take_over("kssl verifier")
    # For the whole process: what sets it for a moment (`judge`) does so for all threads.
    warnings.simplefilter("ignore")
    collector.tune()
    sys.setswitchinterval(_SWITCH)
    with socket.socket(fileno=link) as sock:
        verifier = Verifier(sock)
        with contextlib.suppress(ConnectionError):
            verifier.run()
        if not verifier.close():
            # Python would end around a thread that hangs in the system, which is not safe.
            messages.finish()
            os._exit(0)
    return 0
