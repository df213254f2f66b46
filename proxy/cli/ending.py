"""How a subcommand ends that has started processes of its own."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def orderly_end() -> Iterator[None]:
    """Ended by SIGTERM, Python would leave what it has started: let the blocks end instead."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
