"""CPU time and memory of processes: from their CPU clocks and from /proc.

A process's CPU clock has nanoseconds of all its threads, those that have ended too. (schedstat has
no more than a sum over living threads, in which a server with a thread for each connection seems
to do next to nothing.) It does not tell user from system time; ``stat`` does, in ticks of
1/100 s, and is the fallback for the total.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

_PRIVATE = ("RssAnon:", "RssShmem:")

_CPUCLOCK_SCHED = 2  # linux/posix-timers_types.h

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


def clock_id(pid: int) -> int:
    """The CPU clock of a process for `time.clock_gettime`: what clock_getcpuclockid(3) returns."""
    return (~pid << 3) | _CPUCLOCK_SCHED


def parse_stat(text: str) -> tuple[int, int]:
    """User and system time in nanoseconds, fields 14 and 15 of ``/proc/PID/stat``."""
    # The second field is the name in brackets, which may hold spaces and brackets itself.
    fields = text.rpartition(")")[2].split()
    return int(fields[11]) * _TICK_NS, int(fields[12]) * _TICK_NS


def cpu_time(pid: int, proc: Path = PROC) -> CpuTime:
    """CPU time of a process so far, all its threads. Raises OSError when it has gone."""
    user, system = parse_stat((proc / str(pid) / "stat").read_text())
    try:
        exact = time.clock_gettime_ns(clock_id(pid))
    except OSError:  # some sandboxes know no clocks of other processes
        exact = user + system
    return CpuTime(exact, user, system)


def cpu_time_of(pids: Iterable[int], proc: Path = PROC) -> CpuTime:
    """The sum over several processes."""
    return sum((cpu_time(pid, proc) for pid in pids), start=ZERO)


def clock_name() -> str:
    """Where `cpu_time` has its figures from on this machine: "cpu clock" or "stat"."""
    try:
        time.clock_gettime_ns(clock_id(os.getppid() or os.getpid()))
    except OSError:
        return "stat"
    return "cpu clock"


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
