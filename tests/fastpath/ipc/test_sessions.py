"""`SessionOwners`: who owns what, how many of them, and when an owner is none any more."""

from __future__ import annotations

import tracemalloc
from typing import cast

import pytest

from kssl.fastpath.ipc.frames import MAX_PAYLOAD
from kssl.fastpath.ipc.sessions import PER_WORKER, SessionOwners
from kssl.fastpath.ipc.supervisor import Supervisor


class Link:
    backlog = 0


class Worker:
    """What the table sees of a `Supervisor`."""

    def __init__(self) -> None:
        self.link: Link | None = Link()
        self.restarts = 0

    def die(self) -> None:
        self.link = None

    def come_back(self) -> None:
        self.link = Link()
        self.restarts += 1


def made(count: int, per_worker: int = 10) -> tuple[SessionOwners, list[Supervisor]]:
    return SessionOwners(count, per_worker), [cast(Supervisor, Worker()) for _ in range(count)]


def number(index: int) -> bytes:
    return index.to_bytes(32, "big")


def test_each_has_its_own() -> None:
    owners, workers = made(3)
    for index, worker in enumerate(workers):
        owners.learn(number(index), worker)
    assert [owners.owner([number(index)]) for index in range(3)] == workers
    assert owners.owner([number(3)]) is None
    assert owners.owner([]) is None


def test_the_first_that_is_known_counts() -> None:
    owners, workers = made(3)
    owners.learn(number(1), workers[1])
    owners.learn(number(2), workers[2])
    assert owners.owner([number(0), number(1), number(2)]) is workers[1]
    assert owners.owner([number(0), number(2), number(1)]) is workers[2]


def test_no_id_is_not_learned() -> None:
    owners, workers = made(2)
    owners.learn(b"", workers[0])
    assert len(owners) == 0
    assert owners.owner([b""]) is None


def test_the_oldest_go_first() -> None:
    owners, workers = made(2, per_worker=10)
    for index in range(100):
        owners.learn(number(index), workers[index % 2])
        assert len(owners) == min(index + 1, 20)
    assert [index for index in range(100) if owners.owner([number(index)])] == [*range(80, 100)]


def test_one_that_is_learned_again_takes_no_more_room() -> None:
    owners, workers = made(2, per_worker=2)
    for _ in range(10):
        owners.learn(number(0), workers[0])
    for index in range(1, 4):
        owners.learn(number(index), workers[0])
    assert len(owners) == 4
    assert owners.owner([number(0)]) is workers[0]
    owners.learn(number(4), workers[0])
    assert len(owners) == 4
    assert owners.owner([number(0)]) is None


def test_a_worker_that_died_owns_nothing() -> None:
    owners, workers = made(2)
    fake = cast(Worker, workers[0])
    owners.learn(number(0), workers[0])
    owners.learn(number(1), workers[1])
    fake.die()
    assert owners.owner([number(0)]) is None
    assert owners.owner([number(0), number(1)]) is workers[1]
    fake.come_back()
    assert owners.owner([number(0)]) is None
    owners.learn(number(2), workers[0])
    assert owners.owner([number(2)]) is workers[0]
    assert owners.owner([number(0)]) is None
    owners.learn(number(0), workers[0])
    assert owners.owner([number(0)]) is workers[0]


def test_an_overloaded_worker_is_passed_over() -> None:
    owners, workers = made(2)
    link = cast(Worker, workers[0]).link
    assert link is not None
    owners.learn(number(0), workers[0])
    link.backlog = 4 * MAX_PAYLOAD
    assert owners.owner([number(0)]) is workers[0]
    link.backlog += 1
    assert owners.owner([number(0)]) is None
    link.backlog = 0
    assert owners.owner([number(0)]) is workers[0]


@pytest.mark.parametrize("learned", [PER_WORKER, 3 * PER_WORKER])
def test_the_memory_that_it_says(learned: int) -> None:
    tracemalloc.start()
    try:
        owners, workers = made(1, PER_WORKER)
        for index in range(learned):
            owners.learn(number(index), workers[0])
        size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(owners) == PER_WORKER
    assert size / PER_WORKER < 180
    assert peak / PER_WORKER < 230
