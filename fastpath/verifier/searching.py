"""Questions that need the network: threads that search, and a bounded queue in front of them."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kssl.fastpath.logs.messages import limited
from kssl.fastpath.verifier.fetch import Kind
from kssl.fastpath.verifier.kept import Kept
from kssl.fastpath.verifier.messages import pack_verdict
from kssl.fastpath.verifier.network import Network
from kssl.fastpath.verifier.policies import Loaded, Site
from kssl.fastpath.verifier.remembering import FAILED, LONGEST, Key, until
from kssl.fastpath.verifier.retrieval import Budget, FoundList, Retrieval, retrieve
from kssl.fastpath.verifier.rules.crl import Crl
from kssl.fastpath.verifier.verdicts import UNCHECKED, told

log = logging.getLogger("kssl.verifier")

THREADS = 8
QUEUE = 256


@dataclass(slots=True, eq=False)
class Search:
    """One question, asked by all ``waiting``. ``kind``: what is missing. ``began``: on the clock
    that never goes back."""

    key: Key
    kind: Kind
    site: Site
    loaded: Loaded
    network: Network
    kept: Kept
    presented: tuple[bytes, ...] = field(repr=False)
    began: float
    waiting: list[int]


@dataclass(frozen=True, slots=True)
class Answer:
    """``packed``: the verdict, to be remembered until ``end`` for ``seconds`` at most."""

    search: Search
    packed: bytes = field(repr=False)
    end: datetime
    seconds: float
    issuers: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    lists: tuple[FoundList, ...] = field(default=(), repr=False)


class Searcher:
    """What a thread does with one question. It never raises."""

    def __init__(
        self,
        read: Callable[[bytes, str], Crl],
        clock: Callable[[], float],
        now: Callable[[], datetime],
    ) -> None:
        self._read = read
        self._clock = clock
        self._now = now

    def __call__(self, search: Search) -> Answer:
        now = self._now()
        try:
            return self._answer(search, now)
        except BaseException as error:  # a panic in cryptography's Rust is no Exception
            what = "a client's certificate could not be checked"
            log.error("%s (%s)", what, type(error).__name__, extra=limited("Cert_Unchecked"))
            return Answer(search, pack_verdict(UNCHECKED), now, 0.0)

    def _answer(self, search: Search, now: datetime) -> Answer:
        site, loaded = search.site, search.loaded
        policy = site.policy  # what others have learned while this one waited counts
        seconds = site.wanted.retrieval_timeout / 1000
        certificates, crls = search.network.getters(loaded, site)
        result = retrieve(
            search.presented,
            policy,
            now,
            certificates,
            crls,
            clock=self._clock,
            budget=Budget(seconds=max(0.0, search.began + seconds - self._clock())),
            read=self._read,
        )
        search.network.digest(result, loaded, now)
        issuers = _leading(result)
        search.kept.keep(issuers)
        verdict = result.verdict
        judged_by = policy.extended(crls=[found.crl for found in result.lists])
        return Answer(
            search,
            pack_verdict(told(verdict, result.notes)),
            until(verdict, judged_by, now),
            FAILED if result.notes and not verdict.ok else LONGEST,
            issuers,
            result.lists,
        )


def _leading(result: Retrieval) -> tuple[x509.Certificate, ...]:
    """The fetched CAs of a path that was accepted."""
    fetched = set(result.intermediates)
    between = result.verdict.chain[1:-1]
    return tuple(each for each in between if each.public_bytes(Encoding.DER) in fetched)


class Searches:
    """Threads start when they are needed, and stay until `close`."""

    def __init__(
        self, search: Callable[[Search], Answer], wake: Callable[[], None],
        threads: int = THREADS, queue: int = QUEUE,
    ) -> None:  # fmt: skip
        """``wake`` is called by a thread when `answers` has something new, never after `close`; it
        must not block."""
        self._search = search
        self._wake = wake
        self._most = (threads, queue)
        self._changed = threading.Condition()
        self._queue: deque[Search] = deque()
        self._answers: deque[Answer] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def add(self, search: Search) -> bool:
        """False: too many wait already, or the system gives no thread."""
        threads, queue = self._most
        with self._changed:
            if len(self._queue) >= self._idle and len(self._threads) < threads:
                self._start()
            if not self._threads or len(self._queue) >= queue + self._idle:
                return False
            self._queue.append(search)
            self._changed.notify()
        return True

    def drop(self, search: Search) -> bool:
        """Nobody waits for it any more. False: it has begun, and goes on for what it learns."""
        with self._changed:
            if search not in self._queue:
                return False
            self._queue.remove(search)
            return True

    def drop_all(self) -> None:
        """Those that have not begun."""
        with self._changed:
            self._queue.clear()

    def answers(self) -> list[Answer]:
        """All that are new."""
        with self._changed:
            found = list(self._answers)
            self._answers.clear()
        return found

    def close(self, seconds: float) -> bool:
        """False: some thread has not ended within ``seconds``; it is a daemon."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._changed.notify_all()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="kssl-search", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            what = "the system gives no more threads for clients' certificates"
            log.warning(what, extra=limited("threads"))
            return
        self._threads.append(thread)
        self._idle += 1

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                search = self._queue.popleft()
                self._idle -= 1
            answer = self._search(search)
            with self._changed:
                self._idle += 1
                if not self._closed:
                    self._answers.append(answer)
                    self._wake()
