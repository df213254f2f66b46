"""What a connection that sends very many records costs the others at the worker: little, and only
once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from kssl.fastpath.ipc.frames import FrameType
from kssl.fastpath.net import quantum
from kssl.fastpath.net.quantum import RECORDS
from kssl.fastpath.worker import process
from tests.fastpath.record.peers import Forger
from tests.fastpath.worker.test_turns import Desk, Told

MANY = RECORDS + 72  # a frame of less than 5 KB, so it comes with what follows it


class Talk(Desk):
    """A worker that runs, and three connections with their clients."""

    def __init__(self) -> None:
        super().__init__()
        self.forgers = {identifier: Forger() for identifier in (1, 2, 3)}
        for identifier in self.forgers:
            self.connect(identifier)
        self.thread = threading.Thread(target=self.worker.run)
        self.thread.start()

    def records(self, identifier: int, count: int) -> None:
        """Add so many of the client's records to what is said next."""
        forger = self.forgers[identifier]
        data = b"".join(forger.data(b"x") for _ in range(count))
        self.say(FrameType.OPEN, identifier, data)

    def answers(self, number: int) -> list[Told]:
        """Say what was added, all at once, and return what is told up to the last answer."""
        self.front.sendall(bytes(self.batch))
        self.batch.clear()
        return self.take(lambda told: [each[0] for each in told].count(FrameType.OPENED) == number)

    def close(self) -> None:
        self.front.close()
        self.thread.join(15)
        assert not self.thread.is_alive()
        self.end.close()


@pytest.fixture
def talk() -> Iterator[Talk]:
    made = Talk()
    yield made
    made.close()


def of(told: list[Told], identifier: int) -> list[int]:
    """How many records each frame told of."""
    return [len(payload) for _, each, payload in told if each == identifier]


def test_whoever_had_many_goes_behind_the_others(talk: Talk) -> None:
    for identifier in (1, 2):
        talk.records(identifier, MANY)
    talk.answers(2)
    for identifier in (1, 2):
        talk.records(identifier, MANY)
    talk.records(3, 1)
    told = talk.answers(3)
    assert told[0] == (FrameType.OPENED, 3, b"x")
    assert sum(of(told, 1)) == sum(of(told, 2)) == MANY


def test_a_turn_is_shorter_than_the_first_go(talk: Talk) -> None:
    talk.records(1, 4 * RECORDS)
    sizes = of(talk.answers(1), 1)
    assert sizes[0] == RECORDS
    assert sum(sizes) == 4 * RECORDS
    assert max(sizes[1:]) == RECORDS // 4


def test_turns_are_given_in_order(talk: Talk) -> None:
    for identifier in (1, 2):
        talk.records(identifier, MANY)
    talk.answers(2)
    for identifier in (1, 2):
        talk.records(identifier, 4 * RECORDS)
    told = talk.answers(2)
    assert [each for _, each, _ in told] == [1, 2] * 16


def test_few_records_are_opened_at_once_again() -> None:
    desk = Desk()  # nobody runs it
    desk.connect(1)
    connection, forger = desk.worker._connections[1], Forger()
    many, *few = (
        memoryview(b"".join(forger.data(b"x") for _ in range(count))) for count in (MANY, 5, 6, 7)
    )
    assert connection.open(many)
    while connection.go_on():
        pass
    assert connection.open(few[0])  # it waits, for the last were many
    assert not connection.go_on()
    assert not connection.open(few[1])
    assert not connection.open(few[2])
    desk.worker._output.flush()
    told = desk.take(lambda told: len(told) == 7)
    assert of(told, 1) == [RECORDS, 32, 32, 8, 5, 6, 7]
    desk.front.close()
    desk.end.close()


@pytest.mark.parametrize("count", [1, 8, 94, RECORDS])
def test_the_core_is_not_offered_in_ordinary_traffic(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    offered: list[None] = []
    monkeypatch.setattr(process, "sched_yield", lambda: offered.append(None))
    for identifier in (1, 2, 3):
        talk.records(identifier, count)
    talk.answers(3)
    talk.records(1, count)
    assert of(talk.answers(1), 1) == [count]
    assert not offered


def test_the_core_is_offered_between_turns(talk: Talk, monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[None] = []
    monkeypatch.setattr(process, "sched_yield", lambda: offered.append(None))
    talk.records(1, 4 * RECORDS)
    sizes = of(talk.answers(1), 1)
    assert len(offered) == len(sizes) - 2  # the first go and the first turn follow each other


def test_a_turn_is_a_part_of_a_quantum() -> None:
    assert quantum.TURN_RECORDS < RECORDS
    assert quantum.PROTOCOL_RECORD <= quantum.TURN_RECORDS
