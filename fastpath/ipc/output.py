"""The worker's batch of frames to the front end: filled in place, written with one call."""

from __future__ import annotations

import socket

from kssl.fastpath.ipc.frames import HEADER, HEADER_SIZE, MAX_PAYLOAD, FrameType

# Room for a few of the largest frames, so that a batch of requests is one batch of answers.
_SIZE = 4 * MAX_PAYLOAD


class Output:
    """A batch of frames: appended, or reserved, filled and committed; :meth:`flush` writes it.

    Writing may block, and that is the worker's backpressure: the front end always reads, and
    while the worker waits it takes nothing new.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._view = memoryview(bytearray(_SIZE))
        self._end = 0

    def frame(self, kind: FrameType, connection: int, payload: bytes) -> None:
        """Append a frame."""
        room = self.reserve(len(payload))
        room[: len(payload)] = payload
        self.commit(kind, connection, len(payload))

    def reserve(self, size: int) -> memoryview:
        """Return room for a payload of ``size`` bytes, valid until the next call of any method."""
        if self._end + HEADER_SIZE + size > _SIZE:
            self.flush()
        start = self._end + HEADER_SIZE
        return self._view[start : start + size]

    def commit(self, kind: FrameType, connection: int, size: int) -> None:
        """Make a frame of the first ``size`` bytes of what was just reserved."""
        HEADER.pack_into(self._view, self._end, size, connection, kind)
        self._end += HEADER_SIZE + size

    @property
    def size(self) -> int:
        """Bytes that wait for :meth:`flush`."""
        return self._end

    def flush(self) -> None:
        """Write all frames; may block."""
        if self._end:
            self._sock.sendall(self._view[: self._end])
            self._end = 0
