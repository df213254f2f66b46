"""Upstreams by name, looked up by a name server of the test: found late, moved, gone."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kssl.config.model import Configuration, Logs
from kssl.config.target import Target
from kssl.proxy.upstream.lookup import look_up
from tests.proxy.frontend.rig import BINDINGS, NOBODY, Rig, one_site, wait_for
from tests.proxy.frontend.upstreams import Upstream, answer_all, response
from tests.proxy.upstream.dns import NameServer, without_system

HOST = "app.invalid"  # a name that the system's resolver will never know (RFC 6761)
LATER = 10 * 86400.0  # seconds: everything is due by then


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    without_system(monkeypatch)
    with NameServer() as server:
        yield server


@pytest.fixture
def rig(dns: NameServer, tmp_path: Path) -> Iterator[Rig]:
    """Starts with the name, which need not be known."""
    rig = Rig("kernel", tmp_path, look_up=functools.partial(look_up, servers=dns.servers))
    try:
        yield rig
    finally:
        rig.stop()


def reload(rig: Rig, *targets: Target) -> list[str]:
    site = replace(one_site(targets[0]), upstreams=targets, bindings=BINDINGS)
    configuration = Configuration(parameters=rig.front.parameters, sites=(site,), logs=Logs("off"))
    return rig.wait(rig.service.reload(configuration))


def sweep(rig: Rig, dns: NameServer) -> None:
    """Everything is looked up again, and the answers are there."""
    front, before = rig.front, len(dns.asked)
    rig.call(lambda: front.names.sweep(front.loop.time() + LATER))
    wait_for(lambda: len(dns.asked) > before, "a question")
    wait_for(lambda: not front.names._running, "the answer")


def test_found_moved_and_gone(rig: Rig, dns: NameServer, caplog: pytest.LogCaptureFixture) -> None:
    with Upstream(answer_all(response(b"app"))) as app, rig.client() as client:
        target = Target("http", HOST, app.port)
        # Not known: a warning, and a page that says why.
        (warning,) = reload(rig, target)
        assert HOST in warning
        assert "not found" in warning
        answer = client.ask()
        assert answer.status == 502
        assert b"cannot be looked up: domain name not found" in answer.body
        (pool,) = rig.front.pools.values()

        dns.names[HOST] = (60, ["127.0.0.1"])
        sweep(rig, dns)
        assert client.ask().body == b"app"
        assert pool.idle == 1
        (side,) = app.sides

        # Nobody answers: it goes on, and the log says so once.
        dns.broken = True
        for _ in range(3):
            sweep(rig, dns)
            assert client.ask().body == b"app"
        assert app.accepted == 1
        (line,) = (each for each in caplog.messages if "its last addresses are used" in each)
        assert "failure" in line
        dns.broken = False

        # Another address: the idle connection to the old one ends, and it is not used again.
        dns.names[HOST] = (60, ["127.0.0.2"])
        sweep(rig, dns)
        assert side.ended.wait(60)
        assert pool.idle == 0
        assert [address for _, address in pool.addresses] == [("127.0.0.2", app.port)]
        assert client.ask().status == 502  # nobody listens there

        # A reload looks at once.
        dns.names[HOST] = (60, ["127.0.0.1"])
        rig.call(lambda: setattr(rig.front.names._known[HOST], "_asked", -LATER))
        assert reload(rig, target) == []
        wait_for(lambda: not rig.front.names._running, "the answer")
        assert client.ask().body == b"app"

        # A configuration without it: nobody asks any more.
        reload(rig, NOBODY)
        assert rig.call(lambda: list(rig.front.names._known)) == []


def test_a_failure_to_connect_asks_again(rig: Rig, dns: NameServer) -> None:
    with Upstream(answer_all(response(b"app"))) as app, rig.client() as client:
        dns.names[HOST] = (3600, ["127.0.0.2"])
        reload(rig, Target("http", HOST, app.port))
        assert client.ask().status == 502
        dns.names[HOST] = (3600, ["127.0.0.1"])
        front = rig.front
        soon = rig.call(front.loop.time) + 6  # behind the bound, and far from the TTL
        rig.call(lambda: front.names.sweep(soon))
        wait_for(lambda: dns.asked.count(HOST) == 2, "a question")
        wait_for(lambda: not front.names._running, "the answer")
        assert client.ask().body == b"app"


def test_a_connection_in_use_ends_when_it_is_released(rig: Rig, dns: NameServer) -> None:
    with Upstream(answer_all(response(b"app"))) as app, rig.client() as client:
        dns.names[HOST] = (60, ["127.0.0.1"])
        reload(rig, Target("http", HOST, app.port))
        (pool,) = rig.front.pools.values()
        client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
        wait_for(lambda: app.accepted, "the request")
        dns.names[HOST] = (60, ["127.0.0.2"])
        sweep(rig, dns)
        client.send(b"b")
        assert client.read_answer().body == b"app"
        assert app.sides[0].ended.wait(60)
        assert pool.idle == 0


def test_an_unknown_name_is_no_reason_not_to_start(dns: NameServer, tmp_path: Path) -> None:
    rig = Rig(
        "kernel",
        tmp_path,
        target=Target("http", HOST, 80),
        look_up=functools.partial(look_up, servers=dns.servers),
    )
    try:
        (warning,) = (each for each in rig.service.warnings if HOST in each)
        assert "answered 502 until it is found" in warning
        with rig.client() as client:
            assert client.ask().status == 502
    finally:
        rig.stop()
