"""How far a benchmark is: one line that is overwritten, on terminals only."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

_BAR = 24


class Progress:
    """``seconds`` is the estimate for everything."""

    def __init__(self, seconds: float, stream: TextIO) -> None:
        self._all = seconds
        self._done = 0.0
        self._began = time.monotonic()
        self._stream = stream if stream.isatty() else None

    def step(self, seconds: float, text: str) -> None:
        """A part is done that was estimated at so many seconds."""
        self._done = min(self._all, self._done + seconds)
        if self._stream is not None:
            width = shutil.get_terminal_size().columns
            print(f"\r\x1b[K{self._line(text)[: width - 1]}", end="", file=self._stream, flush=True)

    def clear(self) -> None:
        if self._stream is not None:
            print("\r\x1b[K", end="", file=self._stream, flush=True)

    def _line(self, text: str) -> str:
        part = self._done / self._all if self._all else 1.0
        # What is left takes as much longer than estimated as what is done has.
        taken = time.monotonic() - self._began
        left = taken / self._done * (self._all - self._done) if self._done else self._all
        bar = ("█" * round(part * _BAR)).ljust(_BAR, "░")
        return f"{bar} {part:4.0%}  {duration(left)} left  {text}"


def duration(seconds: float) -> str:
    """Such as ``45 s`` or ``12 min``."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
