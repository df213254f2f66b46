"""kssl.proxy.service.snapshot: what a service says about itself, beside what it does."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from kssl.config.parameters import Parameters
from kssl.config.target import Target
from kssl.fastpath.ipc import supervisor as supervisor_module
from kssl.fastpath.net.closing import End, Ending
from kssl.proxy.service.admin import admin_path
from kssl.proxy.service.snapshot import snapshot
from tests.processes import halt
from tests.proxy.frontend.rig import Rig, one_site, wait_for
from tests.proxy.frontend.upstreams import Upstream, answer_all, response

STARTED = datetime(2026, 11, 21, 16, 30, tzinfo=UTC)


@pytest.fixture(scope="module", params=["kernel", "user"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    rig = Rig(request.param, tmp_path_factory.mktemp("state"))
    yield rig
    rig.stop()


@pytest.fixture
def proxy(rig: Rig) -> Iterator[Rig]:
    with Upstream(answer_all(response(b"abc"))) as upstream:
        rig.configure(port=upstream.port)
        yield rig
        rig.settle()
        wait_for(lambda: rig.front.open_connections == 0, "nothing closes any more")


def told(rig: Rig) -> dict[str, Any]:
    """As it comes out of JSON."""
    content = rig.wait(snapshot(rig.front, rig.service.urls, STARTED))
    return dict(json.loads(json.dumps(content)))


def test_a_quiet_one(proxy: Rig) -> None:
    wait_for(lambda: told(proxy)["workers"][0]["connections"] == 0, "no connections")
    seen = told(proxy)
    tasks = seen.pop("tasks")
    assert tasks >= 2  # who asks here, and who accepts on the admin socket
    parameters = Parameters(enable_kernel_ssl=int(proxy.mode == "kernel"))
    assert seen == {
        "pid": os.getpid(),
        "mode": proxy.mode,
        "engine": {"kernel": "aead", "user": "worker"}[proxy.mode],
        "profile": "native",
        "urls": proxy.service.urls,
        "started": "2026-11-21T16:30:00+00:00",
        "state": "serving",
        "waits_for": None,
        "connections": {"open": 0, "closing": 0},
        "workers": [
            {
                "pid": proxy.front.supervisors[0].pid,
                "restarts": proxy.front.supervisors[0].restarts,
                "problems": [],
                "connections": 0,
                "handshakes": 0,
            }
        ],
        "verifier": None,
        "upstreams": [
            {
                "target": str(next(iter(proxy.front.pools))),
                "idle": 0,
                "uncertain": 0,
                "addresses": ["127.0.0.1"],
                "failures": 0,
                "paused": None,
                "unknown": "",
            }
        ],
        "capacity": proxy.front.capacity.to_json(0),
        "closes": proxy.front.journal.closes.to_json(),
        "logs": {
            "lost": {"access": 0, "errors": 0, "messages": 0},
            "left_out": {"errors": {}, "messages": {}},
        },
        "parameters": parameters.by_name,
    }


def test_connections(proxy: Rig) -> None:
    with proxy.client() as first, proxy.client() as second:
        assert first.ask().body == b"abc"
        seen = told(proxy)
        assert seen["connections"] == {"open": 2, "closing": 0}
        assert seen["workers"][0]["connections"] == 2
        assert [each["idle"] for each in seen["upstreams"]] == [1]
        # The proxy answers and closes; this client does neither, so the rest lingers.
        second.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        second.read_answer()
        wait_for(lambda: told(proxy)["connections"] == {"open": 1, "closing": 1}, "one is closing")
        second.sock.close()
        wait_for(lambda: told(proxy)["connections"] == {"open": 1, "closing": 0}, "it is gone")


def test_ends_are_the_front_ends(proxy: Rig) -> None:
    def count() -> None:
        closes = proxy.front.journal.closes
        closes.client_ended(Ending(End.CLOSE_NOTIFY, End.RESET))
        closes.upstream_ended(Ending(End.FIN, End.NONE))
        closes.unclean += 1
        closes.truncated += 1

    before = told(proxy)["closes"]
    proxy.call(count)
    after = told(proxy)["closes"]
    assert after["unclean_close"] == before["unclean_close"] + 1
    assert after["upstream_truncated"] == before["upstream_truncated"] + 1
    for peer, direction, end in (
        ("client", "received", "close_notify"),
        ("client", "sent", "reset"),
        ("upstream", "received", "fin"),
        ("upstream", "sent", "none"),
    ):
        assert after[peer][direction][end] == before[peer][direction][end] + 1


def test_a_worker_that_dies_and_comes_back(proxy: Rig) -> None:
    supervisor = proxy.front.supervisors[0]
    (before,) = told(proxy)["workers"]
    assert supervisor.pid is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    seen = []

    def is_back() -> bool:
        (worker,) = told(proxy)["workers"]
        seen.append(worker)
        return bool(worker["restarts"] > before["restarts"])

    wait_for(is_back, "another worker")
    assert seen[-1] == before | {"pid": supervisor.pid, "restarts": before["restarts"] + 1}
    assert seen[-1]["pid"] != before["pid"]
    away = [worker for worker in seen if worker["pid"] is None]
    assert away
    assert all(worker["connections"] is worker["handshakes"] is None for worker in away)


def test_a_worker_that_stands_still(proxy: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "_COUNT_LIMIT", 0.05)
    pid = proxy.front.supervisors[0].pid
    assert pid is not None
    halt(pid)
    try:
        (worker,) = told(proxy)["workers"]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert worker["pid"] == pid
    assert worker["connections"] is worker["handshakes"] is None


def test_the_services_own_socket(proxy: Rig) -> None:
    path = proxy.service.describe()["admin"]
    assert path == str(admin_path(proxy.service.options.state_dir, os.getpid()))


def test_an_upstream_that_is_paused_and_one_without_addresses(proxy: Rig) -> None:
    target = Target("http", "localhost", 9)
    proxy.serve_sites(one_site(target))
    pool = proxy.front.pools[target]
    now = proxy.call(proxy.front.loop.time)
    pool.health.failed(None, now + 1000, 0.0)
    (seen,) = told(proxy)["upstreams"]
    assert seen["addresses"] == ["127.0.0.1", "::1"]
    assert seen["failures"] == 1
    assert 900 < seen["paused"] <= 1001
    proxy.call(lambda: pool.move([], "no such name"))
    (seen,) = told(proxy)["upstreams"]
    assert (seen["addresses"], seen["unknown"]) == ([], "no such name")
