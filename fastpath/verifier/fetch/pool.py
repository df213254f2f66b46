"""Several fetches at a time, in threads; who wants the same URL waits for the same fetch.

What a flood of strange certificates can cost is bounded: threads, queue, waiters, memory. Beyond
that a request is refused at once. A failure is remembered for a minute, so that a bad URL is not
asked again at each handshake; what lies in this process (no thread, no socket) is not.

One lock guards everything. Futures are given their results outside of it, because that runs the
code of others.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from kssl.fastpath.verifier.fetch.errors import FetchError, FetchFailure, stopping
from kssl.fastpath.verifier.fetch.fetcher import Fetched
from kssl.fastpath.verifier.fetch.limits import Kind
from kssl.fastpath.verifier.fetch.memory import Memory, Room
from kssl.fastpath.verifier.fetch.url import parse

# Threads, URLs that wait for one, and callers that wait for any of these.
THREADS = 4
QUEUE = 64
WAITERS = 1024


class Fetches(Protocol):
    """What the pool needs of a `Fetcher`."""

    def fetch(self, url: str, kind: Kind) -> Fetched: ...
    def close(self) -> None: ...


@dataclass(slots=True, eq=False)
class _Job:
    kind: Kind
    url: str
    waiters: list[Future[Fetched]] = field(default_factory=list)


class FetchPool:
    """Thread-safe. Threads start when they are needed, and stay until `close`."""

    def __init__(
        self,
        fetcher: Fetches,
        room: Room | None = None,
        *,
        threads: int = THREADS,
        queue: int = QUEUE,
        waiters: int = WAITERS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``fetcher`` is the pool's from now on: `close` closes it."""
        self._fetcher = fetcher
        self._most = (threads, queue, waiters)
        self._changed = threading.Condition()
        self._memory = Memory(Room() if room is None else room, now)
        self._jobs: dict[tuple[Kind, str], _Job] = {}  # that wait or run
        self._queue: deque[_Job] = deque()
        self._threads: list[threading.Thread] = []
        self._waiters = 0
        self._closed = False

    def submit(self, url: str, kind: Kind) -> Future[Fetched]:
        """Never blocks. The future gives what was fetched or a FetchError.

        It is the caller's own: cancelling it concerns nobody else, and a fetch that nobody waits
        for is not begun. For an event loop there is `asyncio.wrap_future`.
        """
        answer: Future[Fetched] = Future()
        try:
            plain = str(parse(url))
            with self._changed:
                found = self._find_or_wait(plain, kind, answer)
        except FetchFailure as failure:
            found = str(failure)
        if found is None:
            answer.add_done_callback(lambda _: self._left(kind, plain, answer))
        else:
            _tell(answer, url, found)
        return answer

    def get(self, url: str, kind: Kind, seconds: float) -> Fetched:
        """Blocks for ``seconds`` at most. Raises FetchError."""
        answer = self.submit(url, kind)
        try:
            return answer.result(seconds)
        except TimeoutError:
            answer.cancel()
            raise FetchError(url, f"not there within {seconds:g} s; others wait too") from None

    def shorten(self, url: str, kind: Kind, seconds: float) -> None:
        """Keep what came from there for ``seconds`` from now at most.

        For who has read it: until the nextUpdate of a CRL; 0 if it is of no use, which counts as a
        failure does. Raises FetchError if ``url`` is none.
        """
        try:
            plain = str(parse(url))
        except FetchFailure as failure:
            raise FetchError(url, str(failure)) from None
        with self._changed:
            self._memory.shorten(kind, plain, seconds)

    def close(self, seconds: float = 5.0) -> bool:
        """Tells all who wait, ends the fetches, and waits for the threads ``seconds`` at most.

        False: one still hangs in a connection attempt. It is a daemon and keeps no process.
        """
        with self._changed:
            self._closed = True
            told = [(job.url, waiter) for job in self._jobs.values() for waiter in job.waiters]
            for job in self._jobs.values():
                job.waiters = []
            self._jobs.clear()
            self._queue.clear()
            self._waiters = 0
            self._memory.clear()
            self._changed.notify_all()
        for url, waiter in told:
            _tell(waiter, url, str(stopping()))
        self._fetcher.close()
        end = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _find_or_wait(self, url: str, kind: Kind, answer: Future[Fetched]) -> Fetched | str | None:
        """What is known, or why not; None: ``answer`` waits. Raises FetchFailure."""
        if self._closed:
            raise stopping()
        known = self._memory.find(kind, url)
        if known is not None:
            return known
        threads, queue, waiters = self._most
        if self._waiters >= waiters:
            raise FetchFailure(f"too many fetches: {waiters} callers wait already; try again later")
        job = self._jobs.get((kind, url))
        if job is None:
            if len(self._jobs) >= threads + queue:
                raise FetchFailure(f"too many fetches: {queue} wait already; try again later")
            job = _Job(kind, url)
            if len(self._threads) < min(threads, len(self._jobs) + 1):
                self._start()
            self._jobs[kind, url] = job
            self._queue.append(job)
            self._changed.notify()
        job.waiters.append(answer)
        self._waiters += 1
        return None

    def _start(self) -> None:
        thread = threading.Thread(target=self._work, name="kssl-fetch", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            raise FetchFailure("the system gives no more threads; try again later") from None
        self._threads.append(thread)

    def _left(self, kind: Kind, url: str, answer: Future[Fetched]) -> None:
        """``answer`` has its result or was cancelled; in the latter case it is still listed."""
        with self._changed:
            job = self._jobs.get((kind, url))
            if job is None or answer not in job.waiters:
                return
            job.waiters.remove(answer)
            self._waiters -= 1
            if not job.waiters and job in self._queue:
                self._queue.remove(job)
                del self._jobs[kind, url]

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._closed)
                if self._closed:
                    return
                job = self._queue.popleft()
            found, remember = self._fetched(job)
            with self._changed:
                told, job.waiters = job.waiters, []
                if not self._closed:
                    del self._jobs[job.kind, job.url]
                    self._waiters -= len(told)
                    if remember:
                        self._remember(job, found)
            for waiter in told:
                _tell(waiter, job.url, found)

    def _fetched(self, job: _Job) -> tuple[Fetched | str, bool]:
        """What came or why nothing did, and whether to remember it."""
        try:
            return self._fetcher.fetch(job.url, job.kind), True
        except FetchError as error:
            return error.why, not error.ours
        except Exception as error:  # a bug, or MemoryError: the thread goes on, the chain fails
            return f"an error in kssl ({type(error).__name__}); please report it", True

    def _remember(self, job: _Job, found: Fetched | str) -> None:
        if isinstance(found, Fetched):
            self._memory.keep(job.kind, job.url, found)
        else:
            self._memory.fail(job.kind, job.url, found)


def _tell(waiter: Future[Fetched], url: str, found: Fetched | str) -> None:
    """Each waiter gets an exception of its own: one that is raised twice grows."""
    if not waiter.set_running_or_notify_cancel():
        return
    if isinstance(found, Fetched):
        waiter.set_result(found)
    else:
        waiter.set_exception(FetchError(url, found))
