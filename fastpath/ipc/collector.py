"""Python's cyclic garbage collector, set for a process that holds thousands of connections.

Connections are taken apart when they end, so reference counts free them and the collector finds
next to nothing. By default it would still look through all of them again and again: under a load
of handshakes that was a tenth of the front end's CPU time (perf), and it grows with their number.
"""

from __future__ import annotations

import gc

# Allocations of containers that outlive their release, before the youngest are looked through;
# then how many of these runs before the middle ones, and of those before all.
_THRESHOLDS = (20_000, 20, 50)


def tune() -> None:
    """Set the thresholds. Call it once everything that stays for the process's life is loaded."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
