"""What is asked of a benchmark, and what comes out of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from kssl.bench.backend import Backend
from kssl.bench.measure.counting import Counts
from kssl.bench.measure.idle import Idle
from kssl.bench.measure.rounds import Round
from kssl.bench.pinning import Cores
from kssl.bench.probe import Probed
from kssl.bench.scenarios import Scenario
from kssl.bench.subjects import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure. ``hops``: user mode over two processes too; ``floor``: nginx without TLS
    too; ``venv`` has peers that are Python packages; ``arguments`` are more of `kssl serve`."""

    scenarios: Sequence[Scenario]
    modes: Sequence[str] = ("user", "kernel")
    peers: Sequence[str] = ("nginx",)
    hops: bool = False
    floor: bool = False
    venv: Path | None = None
    rounds: int = 5
    seconds: int = 3
    arguments: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class LoadUsed:
    """A load, and its first command as an example."""

    name: str
    version: str
    command: str


# A scenario's and a subject's name.
Key = tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What came out so far."""

    plan: Plan
    when: datetime
    cores: Cores
    backend: Backend
    clock: str
    subjects: list[Subject]
    probed: dict[str, Probed] = field(default_factory=dict)
    scenarios: list[Scenario] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    idle: dict[Key, Idle] = field(default_factory=dict)
    counts: dict[Key, Counts] = field(default_factory=dict)
    without_latency: set[Key] = field(default_factory=set)
    loads: list[LoadUsed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    taken_seconds: float = 0.0

    def rounds_of(self, scenario: Scenario, subject: Subject) -> list[Round]:
        """None of a subject that failed in one of them."""
        key = scenario.name, subject.name
        return [one for one in self.rounds if (one.scenario, one.subject) == key]

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
