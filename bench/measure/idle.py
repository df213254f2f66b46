"""What connections cost that do nothing: memory for each, and latency for the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kssl.bench.backend import Backend
from kssl.bench.errors import BenchError
from kssl.bench.load.job import Load
from kssl.bench.load.own import OwnClient
from kssl.bench.measure.rounds import Bench, Meter, Round
from kssl.bench.pinning import pinned
from kssl.bench.proc import private_rss
from kssl.bench.process import open_files
from kssl.bench.scenarios import Scenario
from kssl.bench.subjects import Subject

# Files of the client and of a proxy that are no idle connections.
_OTHER_FILES = 500


@dataclass(frozen=True, slots=True)
class Idle:
    """``round`` is that with the idle connections; p99 in microseconds."""

    kib_per_connection: float
    connections: int
    p99_us_before: float
    p99_us_with: float
    round: Round
    meter: Meter


def possible(wanted: int) -> int:
    """As many of ``wanted`` connections as the limit of open files allows.

    kssl keeps three eighths of it for connections to its upstream.
    """
    return min(wanted, (open_files() - _OTHER_FILES) * 5 // 8)


def measure_idle(
    bench: Bench, subject: Subject, scenario: Scenario, backend: Backend,
    load: Load, own: OwnClient, connections: int,
) -> Idle:  # fmt: skip
    """On a subject that has just been started: memory that was used before would be used again,
    and the connections would seem to need none. Raises BenchError."""
    job = bench.job(subject, scenario, backend)
    before, _ = bench.measure(subject, load, job, 0)
    memory_before = _memory(subject)
    memory_with = 0
    found: list[tuple[Round, Meter]] = []

    def on_up() -> None:
        nonlocal memory_with
        memory_with = _memory(subject)

    def meanwhile() -> None:
        found.append(bench.measure(subject, load, job, 0))

    # The holder's own requests are as fast as they can be.
    with pinned(bench.core):
        own.hold(replace(job, scenario=replace(scenario, rate=None)), connections, on_up, meanwhile)
    with_them, meter = found[0]
    return Idle(
        (memory_with - memory_before) / 1024 / connections,
        connections,
        _p99(before),
        _p99(with_them),
        with_them,
        meter,
    )


def _memory(subject: Subject) -> int:
    return sum(private_rss(pid) for pids in subject.pids.values() for pid in pids)


def _p99(one: Round) -> float:
    for percentile, value in one.percentiles or ():
        if percentile == 99:
            return value
    raise BenchError(f"no latency of {one.subject} in {one.scenario}")
