"""The measured time: when it begins and ends, and what is counted in it."""

from __future__ import annotations

import json
import time
from array import array

from kssl.bench.load.builtin.loop import Loop, Steps
from kssl.bench.load.percentiles import percentiles

_LOOK_SECONDS = 0.005


class Window:
    """Begins when ``connections`` are up and some load has run; then it ends the loop in time."""

    def __init__(self, connections: int, warm_seconds: float, seconds: float) -> None:
        self._down = connections
        self._warm = warm_seconds
        self._asked = seconds
        self._measured = False
        self._seconds = 0.0
        self._latencies = array("d")

    def one_is_up(self) -> None:
        self._down -= 1

    @property
    def all_up(self) -> bool:
        return self._down <= 0

    def count(self, began: float) -> None:
        """One unit is done that began at this time of `time.perf_counter`."""
        if self._measured:
            self._latencies.append(time.perf_counter() - began)

    def conduct(self, loop: Loop) -> Steps:
        while not self.all_up:
            yield time.perf_counter() + _LOOK_SECONDS
        yield time.perf_counter() + self._warm
        self._measured = True
        began = time.perf_counter()
        tell("begin", began)
        yield began + self._asked
        self._measured = False
        ended = time.perf_counter()
        tell("end", ended)
        self._seconds = ended - began
        loop.stop()

    def result(self) -> str:
        """As JSON; times in seconds and microseconds."""
        return json.dumps(
            {
                "units": len(self._latencies),
                "seconds": self._seconds,
                "percentiles": percentiles(1e6 * latency for latency in self._latencies),
            }
        )


def tell(what: str, at: float) -> None:
    print(f"{what} {at:.6f}", flush=True)
