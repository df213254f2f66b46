"""One of several workers stands still: the others go on, and so does a reload."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kssl.fastpath.ipc import watch
from tests.proxy.frontend.hung import give_up_soon
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import Upstream, answer_all, response


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Two workers, and nobody who replaces a hung one."""
    monkeypatch.setattr(watch, "EVERY", 0.01)
    monkeypatch.setattr(watch, "PATIENCE", 3600)
    with Upstream(answer_all(response(b"abc"))) as upstream:
        rig = Rig("kernel", tmp_path, workers=2)
        try:
            rig.configure(port=upstream.port)
            yield rig
        finally:
            rig.stop()


def test_new_handshakes_avoid_it(rig: Rig) -> None:
    hung, other = rig.front.supervisors
    assert hung.pid is not None
    os.kill(hung.pid, signal.SIGSTOP)
    wait_for(lambda: hung.silent, "it is late")
    for _ in range(4):
        with rig.client() as client:
            assert client.ask().status == 200
    os.kill(hung.pid, signal.SIGCONT)
    wait_for(lambda: not hung.silent, "it answers again")
    assert (hung.restarts, other.restarts) == (0, 0)


def test_a_reload_replaces_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    hung, other = rig.front.supervisors
    kept = other.pid
    assert hung.pid is not None
    os.kill(hung.pid, signal.SIGSTOP)
    give_up_soon(monkeypatch, hung)
    rig.wait(rig.service.reload(rig.service.configuration))
    assert (hung.restarts, other.restarts) == (1, 0)
    assert other.pid == kept
    for _ in range(4):
        with rig.client():
            pass  # the handshake was done
