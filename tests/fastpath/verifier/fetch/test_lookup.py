"""Lookups: what a resolver may answer, and one that hangs."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Sequence

import pytest

from kssl.fastpath.verifier.fetch.errors import FetchFailure
from kssl.fastpath.verifier.fetch.lookup import Lookups, resolve


def answer(*addresses: str) -> Lookups:
    return Lookups(lambda _: addresses)


def test_in_order_and_once() -> None:
    found = answer("10.0.0.2", "::1", "10.0.0.2", "::ffff:10.0.0.2").addresses("a.example", 5)
    assert found == [ipaddress.ip_address("10.0.0.2"), ipaddress.ip_address("::1")]


def test_the_system() -> None:
    assert set(resolve("localhost")) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("addresses", "why"),
    [
        ([], "has no address"),
        (["nonsense"], "an address that is none"),
        (["10.0.0.1"] * 65, "more than 64"),
    ],
)
def test_bad_answers(addresses: list[str], why: str) -> None:
    with pytest.raises(FetchFailure, match=why):
        answer(*addresses).addresses("a.example", 5)


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(-2, "Name or service not known"),
        OSError("x"),
        UnicodeError("too long"),
    ],
)
def test_errors(error: Exception) -> None:
    def failing(_: str) -> Sequence[str]:
        raise error

    with pytest.raises(FetchFailure, match=r"a\.example was not found \(.+\); check the name"):
        Lookups(failing).addresses("a.example", 5)


class Hanging:
    """A resolver that answers when it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.asked = threading.Semaphore(0)

    def __call__(self, host: str) -> Sequence[str]:
        self.asked.release()
        assert self.released.wait(60)
        return ["10.0.0.1"]


def test_one_that_hangs() -> None:
    hanging = Hanging()
    lookups = Lookups(hanging, most=2)
    try:
        for _ in range(2):
            with pytest.raises(FetchFailure, match=r"not found within 0\.1 s"):
                lookups.addresses("a.example", 0.05 + 0.01)
        with pytest.raises(FetchFailure, match="too many name lookups hang"):
            lookups.addresses("a.example", 5)
    finally:
        hanging.released.set()
    assert again(lookups) == [ipaddress.ip_address("10.0.0.1")]


def again(lookups: Lookups) -> object:
    """As soon as one of those that hung has ended."""
    end = time.monotonic() + 60
    while True:
        try:
            return lookups.addresses("a.example", 5)
        except FetchFailure:
            assert time.monotonic() < end


def test_no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lookups = Lookups(lambda _: ["10.0.0.1"], most=1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none)
        for _ in range(2):  # the room for it is given back
            with pytest.raises(FetchFailure, match="no more threads") as info:
                lookups.addresses("a.example", 5)
            assert info.value.ours
    assert lookups.addresses("a.example", 20)


def test_close_wakes_who_waits() -> None:
    hanging = Hanging()
    lookups = Lookups(hanging)
    said: list[str] = []

    def ask() -> None:
        try:
            lookups.addresses("a.example", 20)
        except FetchFailure as failure:
            said.append(str(failure))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        assert hanging.asked.acquire(timeout=60)
        lookups.close()
        thread.join(60)
        assert said == ["kssl stops"]
        with pytest.raises(FetchFailure, match="kssl stops"):
            lookups.addresses("a.example", 5)
    finally:
        hanging.released.set()
        thread.join(60)
