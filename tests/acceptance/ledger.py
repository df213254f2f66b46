"""What there was before a crowd came, and what there must be when it has gone."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kssl.proxy.service.spawn import spawn_proxy
from tests.acceptance.crowd import ALL_KINDS, Crowd
from tests.acceptance.services import Running


@contextlib.contextmanager
def serving(target: str, mode: str, folder: Path, *options: str) -> Iterator[Running]:
    """A proxy of a test's own, which must not make a mistake that it has to tell of."""
    said = folder / "said.txt"
    options = ("--mode", mode, "--set", "IdleConnectionTimeout=1", *options)
    with (
        said.open("wb") as stderr,
        spawn_proxy(target, *options, state_dir=folder / "state", stderr=stderr) as process,
    ):
        yield Running(process, folder / "state")
    text = said.read_text()
    assert "Traceback" not in text
    assert "internal error" not in text


class Ledger:
    """Opened before the first `run`; `balance` as often as you like."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._crowd = Crowd(server.port, server.ca)
        # Whatever is opened when it is needed first (a log, say) is open then.
        self._come_and_go(2 * ALL_KINDS)
        self._before = server.status()
        self._descriptors = self._without_pools(self._before)

    def fill(self, count: int) -> None:
        """See `Crowd.fill`."""
        self._crowd.fill(count)

    def run(self, count: int) -> float:
        """So many closes; seconds until the last connection was forgotten."""
        began = time.perf_counter()
        self._come_and_go(count)
        return time.perf_counter() - began

    def _come_and_go(self, count: int) -> None:
        try:
            self._crowd.run(count)
            # Silent ones are given 5 s to answer close_notify (kssl.fastpath.net.closing.LINGER).
            self._server.wait_until_empty()
        finally:
            self._crowd.let_go()

    def balance(self) -> None:
        """Nothing is left of them, and they were counted as what they were."""
        before, now, crowd = self._before, self._server.status(), self._crowd
        assert now["connections"] == {"open": 0, "closing": 0}
        assert now["tasks"] == before["tasks"]
        (worker,), (old,) = now["workers"], before["workers"]
        kept = sum(upstream["idle"] for upstream in now["upstreams"])
        assert (worker["pid"], worker["restarts"]) == (old["pid"], 0)
        assert worker["handshakes"] == 0
        assert worker["connections"] <= kept
        assert self._without_pools(now) == self._descriptors
        assert now["closes"]["client"] == {
            "received": _all_ends(now, crowd.received),
            "sent": _all_ends(now, crowd.sent),
        }
        # Each silent one has got close_notify and has not answered it.
        unclean = sum(crowd.received[end] for end in ("fin", "reset")) + self._unanswered()
        assert now["closes"]["unclean_close"] == unclean

    def _unanswered(self) -> int:
        # What was received from garbage is "none" too, but that was answered by an alert.
        return self._crowd.received["none"] - self._crowd.sent["alert"]

    def _without_pools(self, document: dict[str, Any]) -> dict[int, int]:
        """Open descriptors by process, without those of connections kept for later requests."""
        found = self._server.descriptors()
        found[self._server.process.pid] -= sum(each["idle"] for each in document["upstreams"])
        return found


def _all_ends(document: dict[str, Any], counter: Counter[str]) -> dict[str, int]:
    return {end: counter[end] for end in document["closes"]["client"]["received"]}
