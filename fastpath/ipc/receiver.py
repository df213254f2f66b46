"""The receiver of frames from a link: a connection, or a caller of the process itself."""

from __future__ import annotations

from typing import Protocol


class Receiver(Protocol):
    """The owner of a connection on the link."""

    def frame_received(self, kind: int, payload: memoryview) -> None:
        """Handle a frame; ``payload`` is valid only during the call."""

    def worker_lost(self) -> None:
        """Hear that the process has died: nothing more will come for this connection."""
