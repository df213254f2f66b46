"""How much memory this process and its children may have: the machine's, or their cgroup's.

Linux's cgroups(7): version 2 has `memory.max` in each folder from the process's own up to the root,
version 1 `memory.limit_in_bytes`. The smallest of them counts.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

_CGROUPS = Path("/sys/fs/cgroup")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def memory_limit(proc: Path = Path("/proc"), cgroups: Path = _CGROUPS) -> int:
    """Return the bytes that may be used: the least of the machine's memory and cgroup limits."""
    return min(_machine(proc), *_cgroup_limits(proc, cgroups))


def resident(pids: Iterable[int], proc: Path = Path("/proc")) -> int:
    """Return the bytes of memory that processes have now. Those that are gone have none."""
    total = 0
    for pid in pids:
        try:
            total += int((proc / str(pid) / "statm").read_text().split()[1]) * _PAGE
        except (OSError, ValueError, IndexError):
            continue
    return total


def _machine(proc: Path) -> int:
    for line in (proc / "meminfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) * 1024
    return 1 << 62


def _cgroup_limits(proc: Path, cgroups: Path) -> Iterator[int]:
    yield 1 << 62
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _limits_up(cgroups, path, "memory.max")
        elif "memory" in controllers.split(","):
            yield from _limits_up(cgroups / "memory", path, "memory.limit_in_bytes")


def _limits_up(root: Path, path: str, name: str) -> Iterator[int]:
    """In a container the path may be the host's, and only the root's file is there."""
    folder = PurePosixPath(path)
    for each in (folder, *folder.parents):
        try:
            text = (root / str(each).strip("/") / name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():  # else "max"
            yield int(text)
