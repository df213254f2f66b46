"""CPU time and memory of processes, read from /proc.

``schedstat`` has nanoseconds and is preferred; it tells neither user from system nor anything
about a machine without CONFIG_SCHED_INFO, so ``stat`` (ticks of 1/100 s) gives the split and
is the fallback.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

_PRIVATE = ("RssAnon:", "RssShmem:")

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class CpuTime:
    """Nanoseconds. ``total`` is exact where the kernel tells it; the split is in ticks."""

    total: int
    user: int
    system: int

    def __add__(self, other: CpuTime) -> CpuTime:
        return CpuTime(self.total + other.total, self.user + other.user, self.system + other.system)

    def __sub__(self, other: CpuTime) -> CpuTime:
        return CpuTime(self.total - other.total, self.user - other.user, self.system - other.system)


ZERO = CpuTime(0, 0, 0)


def parse_schedstat(text: str) -> int:
    """The time on a CPU, in nanoseconds: the first of three numbers."""
    return int(text.split()[0])


def parse_stat(text: str) -> tuple[int, int]:
    """User and system time in nanoseconds, fields 14 and 15 of ``/proc/PID/stat``."""
    # The second field is the name in brackets, which may hold spaces and brackets itself.
    fields = text.rpartition(")")[2].split()
    return int(fields[11]) * _TICK_NS, int(fields[12]) * _TICK_NS


def cpu_time(pid: int, proc: Path = PROC) -> CpuTime:
    """CPU time of a process so far, all its threads. Raises OSError when it has gone."""
    folder = proc / str(pid)
    user, system = parse_stat((folder / "stat").read_text())
    exact = 0
    try:
        # The process's own schedstat is its first thread's alone.
        for task in (folder / "task").iterdir():
            exact += parse_schedstat((task / "schedstat").read_text())
    except FileNotFoundError:
        exact = 0
    return CpuTime(exact or user + system, user, system)


def cpu_time_of(pids: Iterable[int], proc: Path = PROC) -> CpuTime:
    """The sum over several processes."""
    return sum((cpu_time(pid, proc) for pid in pids), start=ZERO)


def clock_name(proc: Path = PROC) -> str:
    """Where `cpu_time` has its figures from on this machine."""
    return "schedstat" if (proc / "self" / "schedstat").exists() else "stat"


def children(pid: int, proc: Path = PROC) -> list[int]:
    """The living child processes of a process."""
    found: list[int] = []
    for task in (proc / str(pid) / "task").iterdir():
        found += [int(word) for word in (task / "children").read_text().split()]
    return found


def peak_rss(pid: int, proc: Path = PROC) -> int:
    """The most memory (VmHWM) that a process has had resident, in bytes."""
    for line in (proc / str(pid) / "status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} has no VmHWM: it is a zombie or a kernel thread")


def reset_peak(pid: int, proc: Path = PROC) -> bool:
    """Lets `peak_rss` begin anew; False where only root may: kssl's memory is closed to others."""
    try:
        (proc / str(pid) / "clear_refs").write_text("5")
    except PermissionError:
        return False
    return True


def private_rss(pid: int, proc: Path = PROC) -> int:
    """What a process has resident that is in no file: its own and shared memory, in bytes.

    From ``status``, which everybody may read, unlike ``smaps_rollup``.
    """
    text = (proc / str(pid) / "status").read_text()
    found = [int(line.split()[1]) for line in text.splitlines() if line.startswith(_PRIVATE)]
    if len(found) != len(_PRIVATE):
        raise ValueError(f"process {pid} has no RssAnon: it is a zombie or a kernel thread")
    return sum(found) * 1024
