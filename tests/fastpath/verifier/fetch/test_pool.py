"""The pool over a fetcher that the tests hold back: shared, remembered, refused."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError

import pytest

from kssl.fastpath.verifier.fetch import FetchError, FetchPool, Kind, Room
from tests.fastpath.verifier.fetch.held import Held, until, why

A, B = "http://ca.example/a", "http://ca.example/b"


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def pool(held: Held) -> Iterator[FetchPool]:
    pool = FetchPool(held, threads=2, queue=3, waiters=20, now=lambda: held.time)
    yield pool
    held.go.set()
    assert pool.close()


def test_one_fetch_for_all_who_wait(held: Held, pool: FetchPool) -> None:
    answers = [pool.submit(url, Kind.CRL) for url in (A, "HTTP://CA.example.:80/a", A)]
    other = pool.submit(A, Kind.CERTIFICATE)
    held.go.set()
    assert {answer.result(60).body for answer in answers} == {f"CRL {A}".encode()}
    assert other.result(60).body == f"certificate {A}".encode()
    assert held.began == [A, A]


def test_it_is_remembered_until_its_end(held: Held, pool: FetchPool) -> None:
    held.go.set()
    pool.get(A, Kind.CRL, 20)
    held.time += 599
    pool.get(A, Kind.CRL, 20)
    assert len(held.began) == 1
    held.time += 1
    pool.get(A, Kind.CRL, 20)
    assert len(held.began) == 2


def test_a_failure_is_remembered_for_a_minute(held: Held, pool: FetchPool) -> None:
    held.go.set()
    bad = "http://ca.example/bad"
    for _ in range(3):
        assert why(pool.submit(bad, Kind.CRL)) == "is bad"
    assert len(held.began) == 1
    held.time += 60
    assert why(pool.submit(bad, Kind.CRL)) == "is bad"
    assert len(held.began) == 2


def test_a_failure_of_ours_is_not_remembered(held: Held, pool: FetchPool) -> None:
    held.go.set()
    for _ in range(3):
        assert why(pool.submit("http://ca.example/ours", Kind.CRL)) == "no socket"
    assert len(held.began) == 3


def test_from_an_event_loop(held: Held, pool: FetchPool) -> None:
    async def ask() -> bytes:
        gone = asyncio.wrap_future(pool.submit(A, Kind.CRL))
        stays = asyncio.wrap_future(pool.submit(A, Kind.CRL))
        gone.cancel()
        held.go.set()
        return (await stays).body

    assert asyncio.run(asyncio.wait_for(ask(), 20)) == f"CRL {A}".encode()


def test_each_waiter_gets_an_error_of_its_own(held: Held, pool: FetchPool) -> None:
    answers = [pool.submit("http://ca.example/bad", Kind.CRL) for _ in range(2)]
    held.go.set()
    errors = [answer.exception(20) for answer in answers]
    assert errors[0] is not errors[1]
    assert str(errors[0]) == str(errors[1]) == "http://ca.example/bad: is bad"


def test_a_bug_ends_no_thread(held: Held, pool: FetchPool) -> None:
    held.go.set()
    for index in range(5):
        url = f"http://ca.example/bug{index}"
        assert "ZeroDivisionError" in why(pool.submit(url, Kind.CRL))
    assert pool.get(A, Kind.CRL, 20)


def test_shorten(held: Held, pool: FetchPool) -> None:
    held.go.set()
    pool.get(A, Kind.CRL, 20)
    pool.shorten(A, Kind.CRL, 100)
    held.time += 99
    pool.get(A, Kind.CRL, 20)
    held.time += 1
    pool.get(A, Kind.CRL, 20)
    assert len(held.began) == 2
    pool.shorten(A, Kind.CRL, -5)  # outdated where it is published: not asked each time
    held.time += 59
    pool.get(A, Kind.CRL, 20)
    assert len(held.began) == 2
    held.time += 1
    pool.get(A, Kind.CRL, 20)
    assert len(held.began) == 3
    with pytest.raises(FetchError, match="not an http"):
        pool.shorten("nonsense", Kind.CRL, 5)


def test_too_many(held: Held, pool: FetchPool) -> None:
    urls = [f"http://ca.example/{index}" for index in range(6)]
    answers = [pool.submit(url, Kind.CRL) for url in urls]
    assert why(answers[5]) == "too many fetches: 3 wait already; try again later"
    shared = pool.submit(urls[0], Kind.CRL)  # costs nothing more
    until(lambda: held.running == 2)
    held.go.set()
    for answer in [*answers[:5], shared]:
        answer.result(60)
    assert held.most == 2
    pool.get(urls[5], Kind.CRL, 20)  # it was not remembered as bad


def test_too_many_waiters(held: Held, pool: FetchPool) -> None:
    answers = [pool.submit(A, Kind.CRL) for _ in range(20)]
    assert "20 callers wait already" in why(pool.submit(A, Kind.CRL))
    answers.pop().cancel()
    answers.append(pool.submit(A, Kind.CRL))
    assert "20 callers wait already" in why(pool.submit(B, Kind.CRL))
    held.go.set()
    for answer in answers:
        answer.result(60)
    assert pool.get(B, Kind.CRL, 20)


def test_a_cancelled_one(held: Held, pool: FetchPool) -> None:
    """What nobody waits for is not begun; who shares a fetch keeps it."""
    busy = [pool.submit(url, Kind.CRL) for url in (A, B)]
    until(lambda: held.running == 2)
    first, second = (pool.submit("http://ca.example/c", Kind.CRL) for _ in range(2))
    lonely = pool.submit("http://ca.example/d", Kind.CRL)
    assert first.cancel()
    assert lonely.cancel()
    assert busy[0].cancel()  # runs on, and is remembered
    held.go.set()
    assert second.result(60)
    with pytest.raises(CancelledError):
        first.result(60)
    assert pool.get(A, Kind.CRL, 20)
    assert sorted(held.began) == [A, B, "http://ca.example/c"]


def test_get_waits_no_longer_than_told(held: Held, pool: FetchPool) -> None:
    with pytest.raises(FetchError, match=r"not there within 0\.05 s"):
        pool.get(A, Kind.CRL, 0.05)
    with pytest.raises(FetchError, match="not an http"):
        pool.get("ftp://ca.example/", Kind.CRL, 20)
    held.go.set()
    assert pool.get(A, Kind.CRL, 20)
    assert held.began == [A]


def test_no_threads(monkeypatch: pytest.MonkeyPatch, held: Held, pool: FetchPool) -> None:
    def none(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", none)
        assert "no more threads" in why(pool.submit(A, Kind.CRL))
    held.go.set()
    assert pool.get(A, Kind.CRL, 20)


def test_strangers_push_out_nothing_else(held: Held) -> None:
    held.go.set()
    room = Room(entries=4, failures=4)
    pool = FetchPool(held, room, now=lambda: held.time)
    pool.get(A, Kind.CRL, 20)
    for index in range(20):
        pool.get(f"http://ca.example/{index}", Kind.CERTIFICATE, 20)
        assert why(pool.submit(f"http://ca.example/bad{index}", Kind.CRL)) == "is bad"
    count = len(held.began)
    pool.get(A, Kind.CRL, 20)
    pool.get("http://ca.example/19", Kind.CERTIFICATE, 20)
    why(pool.submit("http://ca.example/bad19", Kind.CRL))
    assert len(held.began) == count
    assert pool.close()


def test_no_more_threads_than_needed(held: Held, pool: FetchPool) -> None:
    held.go.set()
    before = set(threading.enumerate())
    for index in range(5):
        pool.get(f"http://ca.example/{index}", Kind.CRL, 20)
    assert len(set(threading.enumerate()) - before) == 1
