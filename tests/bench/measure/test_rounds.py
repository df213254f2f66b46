"""The rounds: in turn, and without who fails."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from kssl.bench.backend import Backend
from kssl.bench.errors import BenchError
from kssl.bench.load.job import Hook, Job, LoadResult
from kssl.bench.measure.rounds import Bench, Meter, Round, run_rounds
from kssl.bench.scenarios import Scenario, by_name
from kssl.bench.subjects import Subject

TINY = by_name()["tiny"]
BACKEND = Backend(1, "nginx", "1")


class _Load:
    """Fails against the port 2 in its second round."""

    name, version = "a load", "1"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def command(self, job: Job) -> list[str]:
        return []

    def run(self, job: Job, on_begin: Hook, on_end: Hook) -> LoadResult:
        self.asked.append(job.url)
        if self.asked[-1].startswith("https://localhost:2") and self.asked.count(job.url) == 2:
            raise BenchError("gone")
        on_begin()
        on_end()
        return LoadResult(100, 2.0, None)


def _subject(port: int, pid: int | None = None) -> Subject:
    return Subject(f"number {port}", port, {"front": [pid or os.getpid()]}, "1")


def _bench(folder: Path) -> Bench:
    return Bench("ca.pem", folder, 1.0, None)


def test_in_turn_and_without_who_fails(tmp_path: Path) -> None:
    load, rounds, failures = _Load(), list[Round](), list[str]()

    def failed(scenario: Scenario, subject: Subject, error: BenchError) -> None:
        failures.append(f"{subject.name} in {scenario.name}: {error}")

    run_rounds(
        _bench(tmp_path), [_subject(1), _subject(2)], TINY, BACKEND, load,
        rounds=3, on_round=lambda one, _: rounds.append(one), on_failure=failed,
    )  # fmt: skip
    assert [(one.subject, one.number) for one in rounds] == [
        ("number 1", 0), ("number 2", 0), ("number 1", 1), ("number 1", 2)
    ]  # fmt: skip
    assert failures == ["number 2 in tiny: gone"]
    assert rounds[0].rate == 50.0
    assert rounds[0].peak > 2**20


def test_a_process_that_has_gone_is_told(tmp_path: Path) -> None:
    job = Job(TINY, "https://localhost:1/", "", 1.0, tmp_path)
    with pytest.raises(BenchError, match="a process of number 1 ended"):
        _bench(tmp_path).measure(_subject(1, 2**22 + 1), _Load(), job, 0)


def test_the_meter_takes_what_is_between() -> None:
    meter = Meter(_subject(1))
    meter.begin()
    before = time.process_time()  # not os.times: it counts ticks, which may hit somebody else
    while time.process_time() - before < 0.02:
        pass
    meter.end()
    assert meter.cpu["front"].total >= 10_000_000
    assert meter.peak > 2**20
