"""What is asked of a load, and what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kssl.bench.errors import BenchError
from kssl.bench.scenarios import Scenario

# Percentiles of the latency that are reported.
PERCENTILES = (50.0, 75.0, 90.0, 99.0, 99.9)

# Called while the load runs at full speed, at both ends of the measured time: what they read of
# the proxies' clocks holds no handshake before, no close behind.
Hook = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Job:
    """One scenario against one proxy. ``folder`` is for files of the load's own."""

    scenario: Scenario
    url: str
    ca: str
    seconds: float
    folder: Path

    @property
    def warm_seconds(self) -> float:
        """Load on all connections before the measured time."""
        return min(0.5, 0.2 + self.seconds / 10)

    def body_file(self) -> Path:
        """What an upload sends, as a file."""
        path = self.folder / f"{self.scenario.name}.body"
        if not path.exists():
            path.write_bytes(self.scenario.body())
        return path


@dataclass(frozen=True, slots=True)
class LoadResult:
    """Units (requests, messages, connections) that were complete and good in the measured time.

    ``percentiles`` of the latency in microseconds, None where the load cannot tell them.
    """

    units: int
    seconds: float
    percentiles: tuple[tuple[float, float], ...] | None

    def __post_init__(self) -> None:
        if self.units <= 0 or self.seconds <= 0:
            raise BenchError(
                "not one reply was complete in the time of a round; try more --seconds"
            )


class Load(Protocol):
    """A program that makes load."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str: ...

    def command(self, job: Job) -> list[str]:
        """What is started, for the report too."""

    def run(self, job: Job, on_begin: Hook, on_end: Hook) -> LoadResult:
        """Raises BenchError for anything that was not a complete good reply."""
