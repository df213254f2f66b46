"""Connection 0 of a link, the worker itself: which of its answers is for whom."""

from __future__ import annotations

import json
from asyncio import AbstractEventLoop, Future

from kssl.fastpath.ipc.frames import FrameType
from kssl.fastpath.ipc.receiver import Receiver

Counts = dict[str, int]


class Control:
    """READY and REFUSED are for whoever configures: there is one at a time. COUNTS is for all who
    have asked since the last one: a single COUNT is under way, so that a worker which stands still
    costs nothing, however often it is asked.

    configuring: the receiver of READY and REFUSED.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._counts: Future[Counts | None] | None = None
        self.configuring: Receiver | None = None

    @property
    def counting(self) -> bool:
        """COUNT is out, and its answer not here."""
        return self._counts is not None

    def next_counts(self) -> Future[Counts | None]:
        """Done with the next COUNTS; None when the worker dies before. Not to be cancelled."""
        if self._counts is None:
            self._counts = self._loop.create_future()
        return self._counts

    def frame_received(self, kind: int, payload: memoryview) -> None:
        if kind == FrameType.COUNTS:
            self._counted(json.loads(bytes(payload)))
        elif self.configuring is not None:
            self.configuring.frame_received(kind, payload)

    def worker_lost(self) -> None:
        self._counted(None)
        if self.configuring is not None:
            self.configuring.worker_lost()

    def _counted(self, counts: Counts | None) -> None:
        answer, self._counts = self._counts, None
        if answer is not None and not answer.done():
            answer.set_result(counts)
