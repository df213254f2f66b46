"""The rounds: A B C A B C …, so that a slow minute of the machine hits everybody alike."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kssl.bench.backend import Backend
from kssl.bench.errors import BenchError
from kssl.bench.load.job import Job, Load
from kssl.bench.pinning import pinned
from kssl.bench.proc import CpuTime, peak_rss, reset_peak
from kssl.bench.scenarios import Scenario
from kssl.bench.subjects import Subject


@dataclass(frozen=True, slots=True)
class Round:
    """One subject under load for some seconds. ``cpu`` is of the measured time, by kind of
    process; ``peak`` is in bytes over all processes."""

    scenario: str
    subject: str
    number: int
    units: int
    seconds: float
    cpu: dict[str, CpuTime]
    percentiles: tuple[tuple[float, float], ...] | None
    peak: int

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU time for each unit, all processes of the subject."""
        return sum(spent.total for spent in self.cpu.values()) / 1e3 / self.units

    @property
    def rate(self) -> float:
        """Units per second."""
        return self.units / self.seconds


@dataclass(slots=True)
class Meter:
    """Reads a subject's processes at both ends of the measured time."""

    subject: Subject
    peaks_are_whole_lives: bool = False  # where nobody may reset them
    peak: int = 0
    _before: dict[str, CpuTime] = field(default_factory=dict)
    _after: dict[str, CpuTime] = field(default_factory=dict)

    def begin(self) -> None:
        """Raises BenchError if a process has ended."""
        with _told(self.subject):
            for pid in self._pids():
                if not reset_peak(pid):
                    self.peaks_are_whole_lives = True
            self._before = self.subject.cpu()

    def end(self) -> None:
        """Raises BenchError if a process has ended."""
        with _told(self.subject):
            self._after = self.subject.cpu()
            self.peak = sum(peak_rss(pid) for pid in self._pids())

    @property
    def cpu(self) -> dict[str, CpuTime]:
        """Spent in the measured time, by kind of process."""
        return {kind: after - self._before[kind] for kind, after in self._after.items()}

    def _pids(self) -> list[int]:
        return [pid for pids in self.subject.pids.values() for pid in pids]


@contextlib.contextmanager
def _told(subject: Subject) -> Iterator[None]:
    """A proxy that loses a process, even if it starts another, is not what we want to measure."""
    try:
        yield
    except (FileNotFoundError, ProcessLookupError, ValueError) as error:  # of /proc
        raise BenchError(f"a process of {subject.name} ended meanwhile: {error}") from error


@dataclass(frozen=True, slots=True)
class Bench:
    """What all rounds share."""

    ca: str
    folder: Path
    seconds: float
    core: int | None

    def job(self, subject: Subject, scenario: Scenario, backend: Backend) -> Job:
        url = f"{subject.scheme}://localhost:{subject.port}{backend.path(scenario)}"
        return Job(scenario, url, self.ca, self.seconds, self.folder)

    def measure(self, subject: Subject, load: Load, job: Job, number: int) -> tuple[Round, Meter]:
        """One round. Raises BenchError."""
        meter = Meter(subject)
        with pinned(self.core):
            result = load.run(job, meter.begin, meter.end)
        return Round(
            job.scenario.name, subject.name, number, result.units, result.seconds,
            meter.cpu, result.percentiles, meter.peak,
        ), meter  # fmt: skip


def run_rounds(
    bench: Bench, subjects: Sequence[Subject], scenario: Scenario, backend: Backend, load: Load, *,
    rounds: int, on_round: Callable[[Round, Meter], None],
    on_failure: Callable[[Scenario, Subject, BenchError], None],
) -> None:  # fmt: skip
    """All rounds of a scenario. A subject that fails has no more of them.

    Raises what ``on_failure`` raises.
    """
    going = list(subjects)
    for number in range(rounds):
        for subject in list(going):
            try:
                job = bench.job(subject, scenario, backend)
                on_round(*bench.measure(subject, load, job, number))
            except BenchError as error:
                on_failure(scenario, subject, error)
                going.remove(subject)
