"""A fetcher for pools that the tests hold back, and what they ask of its answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

import pytest

from kssl.fastpath.verifier.fetch import Fetched, FetchError, Form, Kind


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.001)


class Held:
    """Fetches wait until `go`; a URL with "bad" in it fails."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.began: list[str] = []
        self.go = threading.Event()
        self.closed = False
        self.seconds = 600.0
        self.lock = threading.Lock()
        self.running = self.most = 0

    def fetch(self, url: str, kind: Kind) -> Fetched:
        with self.lock:
            self.began.append(url)
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.go.wait(60)
        with self.lock:
            self.running -= 1
        if self.closed:
            raise FetchError(url, "kssl stops")
        if "bad" in url:
            raise FetchError(url, "is bad")
        if "ours" in url:
            raise FetchError(url, "no socket", ours=True)
        if "bug" in url:
            raise ZeroDivisionError
        return Fetched(f"{kind.value} {url}".encode(), Form.DER, self.seconds)

    def close(self) -> None:
        self.closed = True
        self.go.set()


def why(answer: Future[Fetched]) -> str:
    with pytest.raises(FetchError) as info:
        answer.result(60)
    return info.value.why
