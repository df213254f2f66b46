"""What one front end may hold: which limit refuses a client, and whom want of memory cuts."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kssl.fastpath.net.poller import Poller
from kssl.proxy.frontend.capacity import (
    CONNECTION_COST,
    RESERVED_FILES,
    Capacity,
    FileLimit,
    automatic_ceiling,
)
from kssl.proxy.service.memory_limit import memory_limit, resident

MIB = 1 << 20
MANY = FileLimit.of(1 << 20, 0)


class FakeHolder:
    def __init__(self, held: int, waits_since: int) -> None:
        self.held = held
        self.waits_since = waits_since
        self.ended = False

    def cut(self) -> None:
        self.ended = True


@pytest.fixture
def poller() -> Poller:
    loop = asyncio.new_event_loop()
    try:
        return Poller(loop)
    finally:
        loop.close()


@pytest.mark.parametrize("total", [64, 256, 1024, 65536])
def test_descriptors_stay_for_the_service(total: int) -> None:
    limit = FileLimit.of(total, 30)
    reserved = total - 30 - limit.both
    assert RESERVED_FILES // 8 <= reserved <= RESERVED_FILES
    assert 0 < limit.clients < limit.both < total


def test_each_limit_is_named(poller: Poller) -> None:
    files = FileLimit.of(1024, 24)
    capacity = Capacity(poller, files, 100 * CONNECTION_COST)
    assert capacity.refusal(99, 0) == ""
    assert capacity.refusal(100, 0) == "MaxConnectionMemory (3 MiB)"
    assert capacity.refusal(99, 99) == "MaxConnections (99)"
    capacity.configure(1024)
    assert capacity.refusal(files.clients - 1, 0) == ""
    assert capacity.refusal(files.clients, 0) == "the limit of open files (1024)"
    capacity.configure(0)
    assert capacity.refusal(100, 0) == "MaxConnectionMemory (3 MiB)"


def test_what_waits_leaves_less_room(poller: Poller) -> None:
    capacity = Capacity(poller, MANY, 100 * CONNECTION_COST)
    poller.wait_with(50 * CONNECTION_COST)
    assert capacity.refusal(49, 0) == ""
    assert capacity.refusal(50, 0)
    poller.wait_with(-50 * CONNECTION_COST)
    assert capacity.refusal(50, 0) == ""


def test_the_slowest_are_cut_and_no_more_than_needed(poller: Poller) -> None:
    capacity = Capacity(poller, MANY, 10 * MIB)
    idle = [FakeHolder(0, 0) for _ in range(10)]
    holders = [FakeHolder(MIB, turn) for turn in (5, 1, 9, 3, 7, 2, 8, 4, 6, 10)]
    assert capacity.relieve([*idle, *holders], 20) == 2
    assert [each.waits_since for each in holders if each.ended] == [1, 2]
    assert not any(each.ended for each in idle)
    assert capacity.to_json(0)["memory"]["cut"] == 2


def test_of_equally_slow_ones_the_largest_goes_first(poller: Poller) -> None:
    capacity = Capacity(poller, MANY, 4 * MIB)
    holders = [FakeHolder(size * MIB, 1) for size in (1, 3, 2)]
    assert capacity.relieve(holders, 3) == 1
    assert [each.held // MIB for each in holders if each.ended] == [3]


def test_nobody_is_cut_below_the_limit(poller: Poller) -> None:
    capacity = Capacity(poller, MANY, 10 * MIB)
    assert capacity.relieve([FakeHolder(MIB, 1) for _ in range(9)], 9) == 0


def test_too_much_is_told_once_a_turn() -> None:
    async def told() -> int:
        poller = Poller(asyncio.get_running_loop())
        calls: list[int] = []
        poller.limit_waiting(100, lambda: calls.append(poller.waiting))
        for _ in range(5):
            poller.wait_with(50)
        await asyncio.sleep(0)
        assert calls == [250]
        poller.wait_with(-200)
        await asyncio.sleep(0)
        poller.wait_with(60)
        await asyncio.sleep(0)
        return len(calls)

    assert asyncio.run(told()) == 2


def test_the_automatic_limit() -> None:
    assert automatic_ceiling(250 * MIB, 50 * MIB) == 150 * MIB
    assert automatic_ceiling(100 * MIB, 200 * MIB) == 16 * MIB


# -- the machine -------------------------------------------------------------------------------


def machine(folder: Path, cgroup: str, **limits: str) -> tuple[Path, Path]:
    """A /proc and a /sys/fs/cgroup. ``limits``: file, with "__" for a slash → content."""
    proc, cgroups = folder / "proc", folder / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "meminfo").write_text("MemTotal:        1024 kB\nMemFree: 5 kB\n")
    (proc / "self" / "cgroup").write_text(cgroup)
    for name, content in limits.items():
        path = cgroups / name.replace("__", "/").replace("_", ".", 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return proc, cgroups


def test_without_a_cgroup_the_machine_counts(tmp_path: Path) -> None:
    assert memory_limit(*machine(tmp_path, "0::/\n")) == MIB


def test_the_least_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    found = machine(
        tmp_path, "0::/a/b\n", memory_max="max", a__memory_max="300000\n", a__b__memory_max="500000"
    )
    assert memory_limit(*found) == 300_000


def test_in_a_container_only_the_root_is_there(tmp_path: Path) -> None:
    assert memory_limit(*machine(tmp_path, "0::/docker/1234\n", memory_max="400000")) == 400_000


def test_version_1(tmp_path: Path) -> None:
    proc, cgroups = machine(tmp_path, "5:cpu:/x\n4:memory,hugetlb:/y\n")
    folder = cgroups / "memory" / "y"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("200000\n")
    assert memory_limit(proc, cgroups) == 200_000


def test_this_machine() -> None:
    import os

    assert 16 * MIB < memory_limit() < 1 << 50
    assert MIB < resident([os.getpid(), 1 << 30]) < memory_limit()
