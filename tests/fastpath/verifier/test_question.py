"""The front end's question: one answer, whatever becomes of the verifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from kssl.fastpath.ipc.frames import FrameType
from kssl.fastpath.ipc.supervisor import Supervisor
from kssl.fastpath.verifier.messages import ClientVerdict, pack_verdict, unpack_judge
from kssl.fastpath.verifier.question import Question
from kssl.fastpath.verifier.rules.verdict import Outcome

POLICY = "p" * 32
VERDICT = ClientVerdict(Outcome.EXPIRED, "It has expired.", ("a note",), "CN=a", sans=("dns:a",))


class Link:
    def __init__(self) -> None:
        self.open_now: dict[int, Any] = {}
        self.sent: list[tuple[int, int, bytes]] = []

    def open(self, receiver: Any) -> int:
        number = 1 + len(self.open_now)
        self.open_now[number] = receiver
        return number

    def send(self, kind: int, identifier: int, payload: bytes) -> None:
        self.sent.append((kind, identifier, payload))

    def end(self, identifier: int, *, resumable: bool) -> None:
        assert not resumable
        del self.open_now[identifier]

    def answer(self, verdict: ClientVerdict) -> None:
        packed = memoryview(pack_verdict(verdict))
        self.open_now[1].frame_received(FrameType.VERDICT, packed)


class Verifier:
    """As much of a `Supervisor` as a question needs."""

    down = ""

    def __init__(self, link: Link | None) -> None:
        self.link = link
        self.waiting: list[Callable[[], None]] = []

    def when_ready(self, ready: Callable[[], None]) -> None:
        self.waiting.append(ready)

    def forget(self, ready: Callable[[], None]) -> None:
        if ready in self.waiting:
            self.waiting.remove(ready)

    def die(self, successor: Link | None) -> None:
        """As `WorkerLink` and `Supervisor` do it."""
        dead, self.link = self.link, successor
        assert dead is not None
        receivers, dead.open_now = dead.open_now, {}
        for receiver in receivers.values():
            receiver.worker_lost()


@pytest.fixture
def answers() -> list[ClientVerdict | None]:
    return []


def ask(verifier: Verifier, answers: list[ClientVerdict | None]) -> Question:
    return Question(cast(Supervisor, verifier), POLICY, (b"own", b"ca"), answers.append)


def test_it_is_asked_and_answered(answers: list[ClientVerdict | None]) -> None:
    link = Link()
    ask(Verifier(link), answers)
    ((kind, number, payload),) = link.sent
    assert (kind, number) == (FrameType.JUDGE, 1)
    assert unpack_judge(payload) == (POLICY, (b"own", b"ca"))
    link.answer(VERDICT)
    assert answers == [VERDICT]
    assert link.open_now == {}


def test_without_a_verifier_it_waits_for_one(answers: list[ClientVerdict | None]) -> None:
    verifier = Verifier(None)
    ask(verifier, answers)
    verifier.link = Link()
    verifier.waiting.pop()()
    verifier.link.answer(VERDICT)
    assert answers == [VERDICT]


def test_one_that_dies_is_asked_again_once(answers: list[ClientVerdict | None]) -> None:
    verifier, second = Verifier(Link()), Link()
    ask(verifier, answers)
    verifier.die(second)
    assert [kind for kind, *_ in second.sent] == [FrameType.JUDGE]
    verifier.die(Link())
    assert answers == [None]
    assert verifier.link is not None
    assert verifier.link.sent == []


def test_one_that_dies_and_is_not_back_yet(answers: list[ClientVerdict | None]) -> None:
    verifier = Verifier(Link())
    ask(verifier, answers)
    verifier.die(None)
    verifier.link = Link()
    verifier.waiting.pop()()
    verifier.link.answer(VERDICT)
    assert answers == [VERDICT]


@pytest.mark.parametrize("there", [True, False])
def test_a_cancelled_one_is_forgotten(answers: list[ClientVerdict | None], there: bool) -> None:
    link = Link()
    verifier = Verifier(link if there else None)
    ask(verifier, answers).cancel()
    assert (link.open_now, verifier.waiting) == ({}, [])
    assert answers == []
