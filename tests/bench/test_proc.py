"""CPU time and memory out of /proc."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from bench.proc import (
    CpuTime,
    children,
    cpu_time,
    cpu_time_of,
    parse_schedstat,
    parse_stat,
    peak_rss,
)

STAT = (
    "4242 (a b) c) S 1 1 1 0 -1 4194560 100 0 0 0 250 75 9 9 20 0 1 0 1 1 1 "
    "18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0\n"
)


def fake(folder: Path, pid: int, tasks: dict[int, str | None]) -> None:
    process = folder / str(pid)
    (process / "task").mkdir(parents=True)
    (process / "stat").write_text(STAT)
    for task, schedstat in tasks.items():
        (process / "task" / str(task)).mkdir()
        if schedstat is not None:
            (process / "task" / str(task) / "schedstat").write_text(schedstat)


def test_schedstat_first_field() -> None:
    assert parse_schedstat("123456789 42 7\n") == 123456789


def test_stat_with_brackets_in_the_name() -> None:
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert parse_stat(STAT) == (250 * tick, 75 * tick)


def test_all_threads_count(tmp_path: Path) -> None:
    fake(tmp_path, 7, {7: "1000 0 0", 8: "500 0 0"})
    assert cpu_time(7, tmp_path).total == 1500


def test_without_schedstat_the_ticks_count(tmp_path: Path) -> None:
    fake(tmp_path, 7, {7: None})
    found = cpu_time(7, tmp_path)
    assert found.total == found.user + found.system > 0


def test_sums_and_differences(tmp_path: Path) -> None:
    fake(tmp_path, 7, {7: "1000 0 0"})
    fake(tmp_path, 8, {8: "200 0 0"})
    both = cpu_time_of([7, 8], tmp_path)
    assert both.total == 1200
    assert (both - cpu_time(8, tmp_path)).total == 1000
    assert cpu_time_of([]) == CpuTime(0, 0, 0)


def test_our_own_grows() -> None:
    before = cpu_time(os.getpid())
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    assert (cpu_time(os.getpid()) - before).total >= 10_000_000


def test_a_process_that_has_gone() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    with pytest.raises(OSError, match="No such"):
        cpu_time(process.pid)


def test_children() -> None:
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        assert process.pid in children(os.getpid())
        assert process.stdin is not None
        process.stdin.close()


def test_peak_memory() -> None:
    assert peak_rss(os.getpid()) > 2**20


def test_peak_memory_of_what_has_none(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name:\tkthreadd\n")
    with pytest.raises(ValueError, match="no VmHWM"):
        peak_rss(7, tmp_path)
