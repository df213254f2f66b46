"""CPU time and memory out of /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kssl.bench.proc import (
    CpuTime,
    children,
    clock_name,
    cpu_time,
    cpu_time_of,
    parse_stat,
    peak_rss,
    private_rss,
    reset_peak,
)

STAT = (
    "4242 (a b) c) S 1 1 1 0 -1 4194560 100 0 0 0 250 75 9 9 20 0 1 0 1 1 1 "
    "18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 1 0 0 0 0 0\n"
)


def test_stat_with_brackets_in_the_name() -> None:
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    assert parse_stat(STAT) == (250 * tick, 75 * tick)


def test_without_the_clock_the_ticks_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> int:
        raise OSError

    monkeypatch.setattr(time, "clock_gettime_ns", refuse)
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "stat").write_text(STAT)
    found = cpu_time(7, tmp_path)
    assert found.total == found.user + found.system > 0
    assert clock_name() == "stat"


def test_sums_and_differences() -> None:
    ours = cpu_time(os.getpid())
    both = cpu_time_of([os.getpid(), os.getpid()])
    assert both.total >= 2 * ours.total
    assert (both - ours).total >= ours.total
    assert cpu_time_of([]) == CpuTime(0, 0, 0)


def test_threads_that_have_ended_count() -> None:
    program = (
        "import threading, time\n"
        "def work():\n"
        "    end = time.thread_time() + 0.1\n"
        "    while time.thread_time() < end: pass\n"
        "thread = threading.Thread(target=work)\n"
        "thread.start(); thread.join()\n"
        "print('done', flush=True); input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert cpu_time(process.pid).total >= 100_000_000
        process.communicate(b"\n")
    assert clock_name() == "cpu clock"


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


def test_private_memory_grows_with_what_is_used() -> None:
    before = private_rss(os.getpid())
    held = bytearray(os.urandom(2**20) * 32)
    assert private_rss(os.getpid()) - before >= 2**24
    assert len(held) == 2**25


def test_private_memory_of_what_has_none(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "status").write_text("Name:\tkthreadd\n")
    with pytest.raises(ValueError, match="no RssAnon"):
        private_rss(7, tmp_path)


def test_a_peak_begins_anew() -> None:
    held = bytearray(os.urandom(2**20) * 64)
    assert peak_rss(os.getpid()) > len(held)
    size, held = len(held), bytearray()
    assert reset_peak(os.getpid())
    assert peak_rss(os.getpid()) < private_rss(os.getpid()) + size


def test_a_peak_that_only_root_may_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    monkeypatch.setattr(Path, "write_text", refuse)
    assert reset_peak(7, tmp_path) is False
