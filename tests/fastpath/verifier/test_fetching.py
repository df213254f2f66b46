"""What is missing is asked for, over loopback, and nobody else waits for it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kssl.fastpath.ipc.frames import FrameType
from kssl.fastpath.verifier import searching
from kssl.fastpath.verifier.retrieval import Retrieval, retrieve
from tests.fastpath.verifier.retrieving import aia, points
from tests.fastpath.verifier.rules.pki import CLIENT, DAY, Made, self_signed
from tests.fastpath.verifier.shop import Shop
from tests.fastpath.verifier.support import ROOT, Clock, Front, site, told, verifier, wait_for


def below(shop: Shop, name: str = "middle") -> tuple[Made, Made]:
    """A CA that is in the shop, and a client below it. The lists are not there yet."""
    middle = ROOT.issue(f"CN={name}", points(f"{shop.url}/root.crl"), ca=True)
    shop.bodies[f"/{name}"] = middle.der
    return middle, client(shop, middle, name)


def client(shop: Shop, middle: Made, name: str = "middle") -> Made:
    url = f"{shop.url}/{name}"
    return middle.issue("CN=alice", (CLIENT, False), aia(url), points(f"{url}.crl"))


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Those that have begun."""
    begun: list[object] = []

    def noted(presented: Sequence[bytes], *given: Any, **more: Any) -> Retrieval:
        begun.append(presented)
        return retrieve(presented, *given, **more)

    monkeypatch.setattr(searching, "retrieve", noted)
    return begun


def test_an_issuer(tmp_path: Path, shop: Shop, searches: list[object]) -> None:
    middle, alice = below(shop)
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        verdict = front.judge(wanted, alice)
        assert (verdict.word, verdict.chain, verdict.notes) == ("ok", (middle.der,), ())
        # The next client needs no search.
        other = client(shop, middle)
        assert front.judge(wanted, other).ok
    assert len(searches) == 1
    assert shop.paths == ["/middle"]
    kept = tmp_path / "state" / "intermediates"
    (file,) = kept.iterdir()
    assert file.read_bytes() == middle.der
    assert (kept.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_kept_for_the_next_process(tmp_path: Path, shop: Shop) -> None:
    middle, alice = below(shop)
    wanted, other = site(tmp_path), site(tmp_path, required=False)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        assert front.judge(wanted, alice).ok
    with verifier() as front:
        front.ready(told(tmp_path, wanted, other))
        assert front.judge(wanted, alice).chain == (middle.der,)
        assert front.judge(other, alice).ok
    assert shop.paths == ["/middle"]


def test_strangers_leave_nothing(tmp_path: Path, shop: Shop) -> None:
    theirs = self_signed("CN=Theirs").issue("CN=between", ca=True)
    shop.bodies["/x"] = theirs.der
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        leaf = theirs.issue("CN=mallory", (CLIENT, False), aia(f"{shop.url}/x"))
        assert front.judge(wanted, leaf).word == "403.16"
    assert shop.paths == ["/x"]
    assert list((tmp_path / "state" / "intermediates").iterdir()) == []


@pytest.mark.parametrize("allowed", [True, False])
def test_switched_off(tmp_path: Path, shop: Shop, allowed: bool) -> None:
    """Neither without the parameter nor at an address that is not allowed."""
    _, alice = below(shop)
    wanted = site(tmp_path)
    places = [shop.place] if allowed else ["127.0.0.1"]  # the port is not
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=not allowed, allowed=places))
        verdict = front.judge(wanted, alice)
    assert verdict.word == "403.16"
    assert shop.requests == []
    assert any("UrlRetrievalAllowed" in note for note in verdict.notes) is not allowed


def test_lists(tmp_path: Path, shop: Shop, searches: list[object]) -> None:
    middle, alice = below(shop)
    bob = client(shop, middle)
    shop.bodies |= {"/root.crl": ROOT.crl(), "/middle.crl": middle.crl(bob.certificate)}
    wanted = site(tmp_path, revocation=True)
    with verifier() as front:
        # Of CRLs the parameter says nothing.
        front.ready(told(tmp_path, wanted, allowed=[shop.place]))
        assert front.judge(wanted, alice, middle).ok
        assert shop.paths == ["/middle.crl", "/root.crl"]
        assert "was revoked on" in front.judge(wanted, bob, middle).reason
        assert front.judge(wanted, client(shop, middle), middle).ok
    assert len(searches) == 1
    assert len(shop.paths) == 2


def test_only_what_is_there(tmp_path: Path, shop: Shop, searches: list[object]) -> None:
    """verifyrevocationwithcachedclientcertonly; issuers may come all the same."""
    middle, alice = below(shop)
    wanted = site(tmp_path, revocation=True, cached_revocation_only=True)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        complete = front.judge(wanted, alice, middle)
        assert (complete.word, complete.notes) == ("403.13", ())
        assert searches == []
        verdict = front.judge(wanted, alice)
    assert verdict.word == "403.13"
    assert shop.paths == ["/middle"]
    assert any("verifyrevocationwithcachedclientcertonly" in note for note in verdict.notes)


def test_a_stale_list_is_fetched_again(tmp_path: Path, shop: Shop) -> None:
    middle, alice = below(shop)
    soon = timedelta(seconds=100)
    shop.bodies |= {"/root.crl": ROOT.crl(), "/middle.crl": middle.crl(until=soon)}
    wanted = site(tmp_path, revocation=True)
    clock = Clock()
    with verifier(clock) as front:
        front.ready(told(tmp_path, wanted, allowed=[shop.place]))
        assert front.judge(wanted, alice, middle).ok
        # The pool would remember it for 300 s, but was told when it ends.
        clock.seconds, clock.time = 150.0, clock.time + timedelta(seconds=150)
        shop.bodies["/middle.crl"] = middle.crl(alice.certificate, since=soon, until=DAY)
        assert "was revoked on" in front.judge(wanted, alice, middle).reason
    assert shop.paths == ["/middle.crl", "/root.crl", "/middle.crl"]


def test_a_slow_server_delays_nobody_else(tmp_path: Path, shop: Shop) -> None:
    middle, alice = below(shop)
    shop.held = {"/middle"}
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        slow = front.ask(wanted, alice)
        assert front.judge(wanted, alice, middle).ok
        assert front.count() == 1
        shop.go.set()
        number, verdict = front.verdict()
        assert (number, verdict.word) == (slow, "ok")
        assert front.count() == 0


def test_strangers_do_not_keep_lists_waiting(
    tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching.Searches.__init__, "__defaults__", (1, 1))
    middle, alice = below(shop)
    shop.bodies |= {"/root.crl": ROOT.crl(), "/middle.crl": middle.crl()}
    shop.held = {"/held"}
    stranger = self_signed("CN=x")
    wanted = site(tmp_path, revocation=True)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        held = aia(f"{shop.url}/held")
        asked = {front.ask(wanted, stranger.issue("CN=mallory", (CLIENT, False), held))}
        wait_for(lambda: shop.requests)
        asked.add(front.ask(wanted, stranger.issue("CN=mallory", (CLIENT, False), held)))
        assert front.judge(wanted, alice, middle).ok
        shop.go.set()
        assert {front.verdict()[0] for _ in asked} == asked


def test_the_same_question_is_one_search(tmp_path: Path, shop: Shop) -> None:
    _, alice = below(shop)
    shop.held = {"/middle"}
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        asked = [front.ask(wanted, alice) for _ in range(20)]
        assert front.count() == 20
        front.send(FrameType.END, asked.pop(3), b"\0")  # no answer for this one
        assert front.count() == 19
        shop.go.set()
        answers = [front.verdict() for _ in asked]
        assert [number for number, _ in answers] == asked
        assert all(verdict.ok for _, verdict in answers)
        assert front.count() == 0
    assert shop.paths == ["/middle"]


def test_nobody_waits_any_more(tmp_path: Path, shop: Shop) -> None:
    """A search goes on for what it learns."""
    middle, alice = below(shop)
    shop.held = {"/middle"}
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        asked = front.ask(wanted, alice)
        wait_for(lambda: shop.requests)
        front.send(FrameType.END, asked, b"\0")
        assert front.count() == 0
        shop.go.set()
        wait_for(lambda: list((tmp_path / "state" / "intermediates").iterdir()))
        assert front.judge(wanted, client(shop, middle)).ok
    assert shop.paths == ["/middle"]


def test_too_many(tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching.Searches.__init__, "__defaults__", (1, 2))
    middle, _ = below(shop)
    shop.held = {"/middle"}
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        first = front.ask(wanted, client(shop, middle))
        wait_for(lambda: shop.requests)
        queued = [front.ask(wanted, client(shop, middle)) for _ in range(2)]
        over = front.judge(wanted, client(shop, middle))
        assert over.word == "403.16"
        assert over.notes[0] == "nothing was fetched, as too many searches wait already"
        front.send(FrameType.END, queued[0], b"\0")  # makes room
        last = front.ask(wanted, client(shop, middle))
        assert front.count() == 3
        shop.go.set()
        answers = dict(front.verdict() for _ in range(3))
    assert sorted(answers) == [first, queued[1], last]
    assert all(verdict.ok for verdict in answers.values())


def test_other_settings_while_somebody_waits(tmp_path: Path, shop: Shop) -> None:
    """Who waits is judged by the new ones; what was found by the old counts no more."""
    middle, alice = below(shop)
    shop.held = {"/middle"}
    wanted, gone = site(tmp_path), site(tmp_path, required=False)
    with verifier() as front:
        before = told(tmp_path, wanted, gone, retrieve_issuers=True, allowed=[shop.place])
        front.ready(before)
        asked = [front.ask(wanted, alice), front.ask(gone, alice)]
        wait_for(lambda: shop.requests)
        front.ready(told(tmp_path, wanted), again=True)  # nothing is fetched any more
        answers = dict(front.verdict() for _ in asked)
        assert answers[asked[0]].word == "403.16"
        assert answers[asked[0]].notes == ()
        assert "just changed" in answers[asked[1]].reason
        shop.go.set()
        assert front.judge(wanted, alice).word == "403.16"
        front.ready(before, again=True)
        assert front.judge(wanted, alice).chain == (middle.der,)


def test_a_failure_is_forgotten_soon(tmp_path: Path, shop: Shop, searches: list[object]) -> None:
    middle, alice = below(shop)
    del shop.bodies["/middle"]
    wanted = site(tmp_path)
    clock = Clock()
    with verifier(clock) as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        failed = front.judge(wanted, alice)
        assert (failed.word, len(failed.notes)) == ("403.16", 1)
        assert "404" in failed.notes[0]
        shop.bodies["/middle"] = middle.der
        clock.seconds = 4.0
        assert front.judge(wanted, alice).notes == failed.notes
        assert len(searches) == 1
        clock.seconds = 59.0  # the pool remembers: nothing is asked
        assert front.judge(wanted, alice).notes == failed.notes
        assert (len(searches), len(shop.paths)) == (2, 1)
        clock.seconds = 65.0
        assert front.judge(wanted, alice).ok


def test_a_bug_in_a_search_is_a_no(
    tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Panic(BaseException):
        pass

    def broken(*given: object, **more: object) -> None:
        raise Panic("secret")

    _, alice = below(shop)
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        monkeypatch.setattr(searching, "retrieve", broken)
        assert "could not be checked" in front.judge(wanted, alice).reason
        monkeypatch.undo()
        assert front.judge(wanted, alice).ok
    assert "Panic" in caplog.text
    assert "secret" not in caplog.text


def test_nothing_of_the_network_in_the_reason(tmp_path: Path, shop: Shop) -> None:
    _, alice = below(shop)
    shop.bodies.clear()
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        verdict = front.judge(wanted, alice)
    assert "127.0.0.1" not in verdict.reason
    assert "127.0.0.1" in verdict.notes[0]


def test_a_front_end_that_reads_late(tmp_path: Path, shop: Shop) -> None:
    """More answers than the socketpair holds, and a search that ends meanwhile: nothing is lost."""
    middle, alice = below(shop)
    shop.held = {"/middle"}
    wanted = site(tmp_path)
    with verifier() as front:
        front.ready(told(tmp_path, wanted, retrieve_issuers=True, allowed=[shop.place]))
        searched = front.ask(wanted, alice)
        wait_for(lambda: shop.requests)
        asked: list[int] = []

        def ask() -> None:
            for _ in range(2000):
                asked.append(front.ask(wanted, alice, middle))

        asking = threading.Thread(target=ask)
        asking.start()
        wait_for(StandsStill(lambda: (len(asked), len(pending(front)))))
        shop.go.set()
        wait_for(lambda: list((tmp_path / "state" / "intermediates").iterdir()))
        answers = dict(front.verdict() for _ in range(2001))
        asking.join()
    assert sorted(answers) == sorted([searched, *asked])
    assert all(verdict.ok for verdict in answers.values())


class StandsStill:
    """Tell whether there is something, and it has been the same fifty times.

    How many bytes a socketpair holds depends on how many messages they are.
    """

    def __init__(self, look: Callable[[], tuple[int, int]]) -> None:
        self._look = look
        self._last = (0, 0)
        self._times = 0

    def __call__(self) -> bool:
        before, self._last = self._last, self._look()
        self._times = self._times + 1 if before == self._last and all(before) else 0
        return self._times >= 50


def pending(front: Front) -> bytes:
    """What is there to be read."""
    return front.sock.recv(1 << 20, socket.MSG_PEEK)
