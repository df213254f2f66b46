"""A bounded queue of lines and the thread that writes them.

Promises:

1. `LineWriter.write` never waits for the stream and never raises.
2. Lines are written whole and in order. One that was written in part, because a disk is full, is
   completed when there is room again.
3. At most ``limit`` bytes are held. From the first line that does not fit on, lines are lost until
   the queue has been written; how many, the stream says in their place.
4. A stream that cannot be written is tried again once a second, and again, until `close`.
5. `LineWriter.close` waits no longer than it is told to. What is not written by then is lost, and
   so is what a stream never takes: the process can end all the same, for the thread is a daemon.

The thread begins with the first line. It writes that at once, and then collects for a moment before
it writes again, so that under load it wakes fifty times a second and not for every turn of an
event loop.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from kssl.config.errors import reason

# Seconds that are collected for the next write.
_COLLECT = 0.02

# Seconds until a stream that cannot be written is tried again.
RETRY = 1.0

# Bytes that are joined for one write.
_BATCH = 256 * 1024


class Sink(Protocol):
    """What the thread writes to; `kssl.fastpath.logs.descriptor.Descriptor`."""

    def write(self, data: bytes, start: int) -> int: ...
    def wait(self, seconds: float) -> bool: ...
    def close(self) -> None: ...


def _nobody(text: str) -> None:
    """There is no other log."""


class LineWriter:
    """Writes whole lines to ``sink`` without ever blocking its caller. Thread-safe.

    limit: bytes that are held at most.
    remark: a format for the line that says how many were lost, with ``%d``.
    tell: is told in words, from any thread, when lines begin to be lost, and when writing works
        again. Another log, or nobody.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        name: str,
        limit: int,
        remark: bytes,
        tell: Callable[[str], None] = _nobody,
    ) -> None:
        self.lost = 0
        """Lines since the start."""
        self._sink = sink
        self._name = name
        self._limit = limit
        self._remark = remark
        self._tell = tell
        # Reentrant: a finaliser may log, and it may run anywhere.
        self._lock = threading.RLock()
        self._items: deque[bytes] = deque()
        self._held = 0  # bytes, with those that the thread is writing
        self._untold = 0  # lines lost behind all that is held
        self._losing = False  # until the stream has been told of those
        self._asleep = False
        self._wake = threading.Lock()  # held while nobody has woken the thread
        self._wake.acquire()
        self._ended = False  # the thread takes nothing more
        self._closing = threading.Event()
        self._deadline = 0.0  # of `close`
        self._thread: threading.Thread | None = None
        self._failed = ""  # why the stream cannot be written

    def write(self, data: bytes) -> None:
        """Take whole lines, each with its end."""
        with self._lock:
            if self._ended:
                self._last_words(data)
                return
            begins = False
            if self._losing or self._held + len(data) > self._limit:
                lines = data.count(b"\n")
                self.lost += lines
                self._untold += lines
                begins, self._losing = not self._losing, True
            else:
                self._items.append(data)
                self._held += len(data)
            if self._asleep:
                self._asleep = False
                self._wake.release()
            elif self._thread is None:
                self._begin()
        if begins:
            why = self._failed or "it takes them too slowly, or not at all"
            self._tell(f"{self._name}: lines are lost: {why}")

    def retire(self, seconds: float) -> None:
        """Write what is held, within ``seconds``, and close; return at once."""
        with self._lock:
            if self._closing.is_set():
                return
            self._deadline = time.monotonic() + seconds
            self._closing.set()
            if self._asleep:
                self._asleep = False
                self._wake.release()
            elif self._thread is None:
                self._ended = True
                if self._items:  # the system has given no thread
                    self._last_words(self._next_batch())
                self._sink.close()

    def close(self, seconds: float = 1.0) -> bool:
        """As `retire`, but wait for the end. Return whether it came."""
        self.retire(seconds)
        if self._thread is not None:
            self._thread.join(max(0.0, self._deadline - time.monotonic()) + 0.1)
        return self.over

    @property
    def over(self) -> bool:
        """Whether it was closed, and nothing more is going to be written or lost."""
        alive = self._thread is not None and self._thread.is_alive()
        return self._closing.is_set() and not alive

    # -- with the lock held ----------------------------------------------------------------

    def _begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name=f"log: {self._name}", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the system has no more threads; the next line tries again
            self._thread = None

    def _last_words(self, data: bytes) -> None:
        """The interpreter itself may have something to say at its end."""
        try:
            if self._sink.wait(0) and self._sink.write(data, 0) == len(data):
                return
        except (OSError, ValueError):
            pass
        self.lost += data.count(b"\n")

    def _next_batch(self) -> bytes:
        batch, size = [], 0
        while self._items and size < _BATCH:
            batch.append(self._items.popleft())
            size += len(batch[-1])
        if not self._items and self._untold:
            batch.append(self._remark % self._untold)
            self._held += len(batch[-1])
            self._untold, self._losing = 0, False
        return b"".join(batch)

    # -- the thread ------------------------------------------------------------------------

    def _run(self) -> None:
        while (data := self._take()) is not None:
            written = self._write_out(data)
            with self._lock:
                self._held -= len(data)
                if written < len(data):
                    self._give_up(data, written)
                    break
                more = bool(self._items)
            if not more:
                self._closing.wait(_COLLECT)
        self._sink.close()

    def _take(self) -> bytes | None:
        while True:
            with self._lock:
                if self._items or self._untold:
                    return self._next_batch()
                if self._closing.is_set():
                    self._ended = True
                    return None
                self._asleep = True
            self._wake.acquire()

    def _write_out(self, data: bytes) -> int:
        """How much of it was written: less than all only when there is no more time."""
        done = 0
        while done < len(data):
            try:
                done = self._sink.write(data, done)
            except BlockingIOError:
                if self._too_late():
                    break
                # In steps, to hear of `close`. A reader that is gone ends the wait at once.
                if not self._sink.wait(0.1):
                    self._closing.wait(0.01)
            except OSError as error:
                last = self._closing.is_set()
                self._fail(error)
                if last:
                    break
                self._closing.wait(RETRY)
            else:
                self._recover()
        return done

    def _too_late(self) -> bool:
        return self._closing.is_set() and time.monotonic() >= self._deadline

    def _fail(self, error: OSError) -> None:
        before, self._failed = self._failed, reason(error)
        if self._failed != before:
            self._tell(f"{self._name}: {self._failed}; lines are kept for a while, then lost")

    def _recover(self) -> None:
        if self._failed:
            self._failed = ""
            self._tell(f"{self._name}: written again")

    def _give_up(self, data: bytes, written: int) -> None:
        lost = data.count(b"\n", written) + sum(item.count(b"\n") for item in self._items)
        self.lost += lost
        self._items.clear()
        self._ended = True
