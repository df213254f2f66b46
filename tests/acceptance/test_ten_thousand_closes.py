"""Ten thousand connections that end in every way leave nothing behind but numbers."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.devca import DevelopmentCA
from proxy.demo.process import start_demo_app
from proxy.spawn import spawn_proxy
from tests.acceptance.conftest import Figure
from tests.acceptance.crowd import ALL_KINDS, Crowd
from tests.acceptance.services import Running
from tests.acceptance.support import MIB, MODES

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("mode", MODES)]

CLOSES, CLOSES_HTTPS = 10_000, 2_000

# What a process may grow by in the second ten thousand, in bytes. A session that was closed
# cleanly stays in the worker's cache, a thousand of them here, with less than 1 KiB each. One
# small object forgotten for each connection, of 200 bytes or more, is too much.
GROWTH = 2 * MIB


@contextlib.contextmanager
def serving(target: str, mode: str, folder: Path, *options: str) -> Iterator[tuple[Running, Path]]:
    """A proxy of this test's own, and the file of what it says."""
    said = folder / "said.txt"
    options = ("--mode", mode, "--set", "IdleConnectionTimeout=1", *options)
    with (
        said.open("wb") as stderr,
        spawn_proxy(target, *options, state_dir=folder / "state", stderr=stderr) as process,
    ):
        yield Running(process, folder / "state"), said
    text = said.read_text()
    assert "Traceback" not in text
    assert "internal error" not in text


class Ledger:
    """What there was before the crowd came, and what must be there when it has gone."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self._crowd = crowd = Crowd(server.port, server.ca)
        # Whatever is opened when it is needed first (a log, say) is open then.
        self._come_and_go(2 * ALL_KINDS)
        self._before = server.status()
        self._descriptors = self._without_pools(self._before)
        self._counted = Counter(crowd.received), Counter(crowd.sent)

    def run(self, count: int) -> float:
        """So many closes; seconds until the last connection was forgotten."""
        began = time.perf_counter()
        self._come_and_go(count)
        return time.perf_counter() - began

    def _come_and_go(self, count: int) -> None:
        try:
            self._crowd.run(count)
            # Silent ones are given 5 s to answer close_notify (fastpath.closing.LINGER).
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


def test_nothing_is_left(app_port: int, figure: Figure, tmp_path: Path, mode: str) -> None:
    with serving(str(app_port), mode, tmp_path) as (server, _):
        ledger = Ledger(server)
        seconds = ledger.run(CLOSES)
        ledger.balance()
        before = server.memory()
        ledger.run(CLOSES)
        ledger.balance()
        grown = [now - old for now, old in zip(server.memory(), before, strict=True)]
    front, worker = (f"{size / 1024:+,.0f} KiB" for size in grown)
    figure(f"{CLOSES:,} closes in {seconds:.0f} s; the next {CLOSES:,}: {front}, worker {worker}")
    assert max(grown) < GROWTH


def test_nothing_is_left_with_an_https_app(figure: Figure, tmp_path: Path, mode: str) -> None:
    ca = DevelopmentCA.open_or_create(tmp_path / "state")
    certificate, key = map(str, ca.ensure_leaf())
    trusted = ("--upstream-ca", str(ca.ca_path))
    with start_demo_app(certfile=certificate, keyfile=key) as app:
        target = f"https://localhost:{app.port}"
        with serving(target, mode, tmp_path, *trusted) as (server, _):
            ledger = Ledger(server)
            seconds = ledger.run(CLOSES_HTTPS)
            ledger.balance()
            upstream = server.status()["closes"]["upstream"]
    figure(f"{CLOSES_HTTPS:,} closes in {seconds:.0f} s; upstreams' ends {upstream}")
