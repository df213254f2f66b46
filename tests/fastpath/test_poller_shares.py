"""`Poller`: those who go on stand behind what is new, and behind other processes of the core."""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import cast

import pytest

from kssl.fastpath.net import poller as module
from kssl.fastpath.net.poller import READABLE, Poller
from kssl.fastpath.net.quantum import PUT_OFF

_FD = 7


class Loop:
    """Keeps what is to be called, for the test to call."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, action: Callable[[], None]) -> None:
        self.soon.append(action)

    def add_reader(self, fd: int, action: Callable[[], None]) -> None: ...


class Epoll:
    """Has the same socket ready at each look while ``busy``."""

    def __init__(self) -> None:
        self.busy = False

    def poll(self, timeout: float, most: int) -> list[tuple[int, int]]:
        return [(_FD, READABLE)] if self.busy else []


class Peer:
    """Writes down when it is served, and always has more to do."""

    def __init__(self, poller: Poller, log: list[str]) -> None:
        self.poller = poller
        self.log = log

    def happened(self, events: int) -> None:
        self.log.append("new")
        self.poller.at_end(lambda: self.log.append("sent"))

    def read_on(self) -> None:
        self.log.append("more")
        self.poller.again(self)

    def crashed(self) -> None:
        raise AssertionError("it did not")


class Stage:
    """A poller of which one peer wants to go on; what is new is for another one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.loop = Loop()
        self.epoll = Epoll()
        self.poller = Poller(cast("AbstractEventLoop", self.loop))
        self.poller._epoll.close()
        monkeypatch.setattr(self.poller, "_epoll", self.epoll)
        monkeypatch.setattr(module, "LATE", 0.0)  # one of those who go on at each turn
        monkeypatch.setattr(module, "sched_yield", lambda: self.log.append("offered"))
        self.peer = Peer(self.poller, self.log)
        self.poller._polled[_FD] = Peer(self.poller, self.log)
        self.poller.again(self.peer)

    def turns(self, number: int) -> None:
        for _ in range(number):
            actions, self.loop.soon = self.loop.soon, []
            for action in actions:
                action()


def test_the_core_is_offered_before_each_further_quantum(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.turns(4)
    assert stage.log == ["more", *["offered", "more"] * 3]


def test_one_more_go_is_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most who ask have only something that came while they did not read."""
    stage = Stage(monkeypatch)
    stage.epoll.busy = True
    peer = stage.peer
    monkeypatch.setattr(peer, "read_on", lambda: stage.log.append("more"))
    for _ in range(3):
        stage.turns(1)
        stage.poller.again(peer)
    assert stage.log == ["new", "sent", "more"] * 3


def test_the_core_is_not_offered_for_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.poller._again.clear()
    stage.epoll.busy = True
    for _ in range(3):
        stage.poller._turn()
    assert stage.log == ["new", "sent"] * 3


def test_what_is_new_puts_them_off_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.turns(1)
    stage.log.clear()
    stage.epoll.busy = True
    stage.turns(2 * (PUT_OFF + 1))
    served = ["offered", "new", "sent"]
    assert stage.log == (served * PUT_OFF + [*served, "more"]) * 2


def test_what_comes_for_them_alone_puts_nobody_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fast sender makes an edge for each of its own reads."""
    stage = Stage(monkeypatch)
    stage.poller._polled[_FD] = stage.peer
    stage.turns(1)
    stage.log.clear()
    stage.epoll.busy = True
    stage.turns(2)
    assert stage.log == ["offered", "new", "sent", "more"] * 2


def test_they_are_not_put_off_longer_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch)
    stage.turns(1)
    stage.log.clear()
    stage.epoll.busy = True
    stage.turns(1)
    stage.epoll.busy = False
    stage.turns(1)
    assert stage.log == ["offered", "new", "sent", "offered", "more"]


def test_their_time_is_halved_while_they_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock of the test's own, on which each go takes a quarter of the time that all have."""
    stage = Stage(monkeypatch)
    now = [0.0]
    monkeypatch.setattr(module, "LATE", 4.0)
    monkeypatch.setattr(module, "monotonic", lambda: now[0])

    class Slow(Peer):
        def read_on(self) -> None:
            now[0] += 1.0
            super().read_on()

    stage.poller._again.clear()
    for _ in range(10):
        stage.poller.again(Slow(stage.poller, stage.log))
    goes = []
    for _ in range(3):
        stage.log.clear()
        stage.turns(1)
        goes.append(stage.log.count("more"))
    assert goes == [4, 2, 2]
