"""Connection 0 of a link: what is said with the worker itself, not for one connection."""

from __future__ import annotations

import json
from asyncio import AbstractEventLoop, Future

from kssl.fastpath.ipc.frames import FrameType
from kssl.fastpath.ipc.receiver import Receiver

Counts = dict[str, int]


class Control:
    """The receiver of the worker's own answers, which hands each to its caller.

    READY and REFUSED go to `configuring`: there is one configuration at a time. COUNTS goes to all
    callers since the last one: a single COUNT is under way, so that a worker which stands still
    costs nothing, however often it is asked.
    """

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._counts: Future[Counts | None] | None = None
        self.configuring: Receiver | None = None

    @property
    def counting(self) -> bool:
        """Whether COUNT has been sent and its answer has not come."""
        return self._counts is not None

    def next_counts(self) -> Future[Counts | None]:
        """Return a future of the next COUNTS, None if the worker dies before. Do not cancel it."""
        if self._counts is None:
            self._counts = self._loop.create_future()
        return self._counts

    def frame_received(self, kind: int, payload: memoryview) -> None:
        """Hand an answer on."""
        if kind == FrameType.COUNTS:
            self._counted(json.loads(bytes(payload)))
        elif self.configuring is not None:
            self.configuring.frame_received(kind, payload)

    def worker_lost(self) -> None:
        """Tell all callers that no answer comes."""
        self._counted(None)
        if self.configuring is not None:
            self.configuring.worker_lost()

    def _counted(self, counts: Counts | None) -> None:
        answer, self._counts = self._counts, None
        if answer is not None and not answer.done():
            answer.set_result(counts)
