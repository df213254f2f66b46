"""Who gets frames from a link: a connection, or whoever waits for the process itself."""

from __future__ import annotations

from typing import Protocol


class Receiver(Protocol):
    """Whoever opened a connection on the link."""

    def frame_received(self, kind: int, payload: memoryview) -> None:
        """``payload`` is valid only during the call."""

    def worker_lost(self) -> None:
        """The process died. Nothing more will come for this connection."""
