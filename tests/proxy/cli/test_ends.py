"""A service that is about to end is shown, can be stopped, and ends at once if it must."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from kssl.config.running import State, all_services, running_services
from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy
from tests.proxy.cli.conftest import Kssl
from tests.proxy.frontend.clients import Client, request
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"
TUNNEL = request(b"GET", b"/tunnel", b"Upgrade: raw", b"Connection: Upgrade")

# Far longer than a test may take: what ends within it did not wait for it.
LONG = 3600


def app(side: UpstreamSide) -> None:
    """Switches protocols, or begins an answer that it does not end."""
    tunnel = b" /tunnel " in side.read_head()
    side.send(SWITCH if tunnel else b"HTTP/1.1 200 OK\r\n\r\n", b"part")
    side.read_to_end()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream(app) as started:
        yield started


@pytest.fixture
def proxy(upstream: Upstream, tmp_path: Path) -> Iterator[ProxyProcess]:
    arguments = ("--set", f"StopGrace={LONG}", "--set", f"RestartGrace={LONG}")
    with (
        open(tmp_path / "log", "wb") as stderr,
        spawn_proxy(str(upstream.port), *arguments, state_dir=tmp_path, stderr=stderr) as started,
    ):
        try:
            yield started
        finally:
            for service in all_services(tmp_path):
                os.kill(service.pid, signal.SIGKILL)


def test_a_second_signal_ends_at_once(proxy: ProxyProcess, tmp_path: Path) -> None:
    with Client(proxy.port, ssl.create_default_context(cafile=proxy.ca)) as client:
        client.send(request(b"GET", b"/begun"))
        client.take_until(b"part\r\n")
        proxy.process.terminate()
        wait_for(lambda: b"the signal again" in (tmp_path / "log").read_bytes(), "the hint")
        (service,) = all_services(tmp_path)
        wait_for(lambda: all_services(tmp_path)[0].state == State.STOPPING, "it is shown")
        assert running_services(tmp_path) == []
        os.kill(service.pid, signal.SIGINT)
        assert client.read_to_end() == (b"", "cut")
    assert proxy.process.wait(60) == 0
    assert all_services(tmp_path) == []


def test_a_stop_that_was_hurried_before_it_began(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kssl.proxy.service.service.Service.stop_grace", LONG)
    rig = Rig("kernel", tmp_path)
    try:
        rig.configure(port=upstream.port)
        with rig.client() as client:
            client.send(request(b"GET", b"/begun"))
            client.take_until(b"part\r\n")
            stopping = asyncio.run_coroutine_threadsafe(rig.service.stop(), rig.loop)
            wait_for(lambda: rig.front.stopping, "it waits for the request")
            assert not stopping.done()
            rig.call(rig.service.hurry)
            stopping.result(60)
            assert client.read_to_end() == (b"", "cut")
    finally:
        rig.stop()


@pytest.mark.parametrize("named", [False, True])
def test_what_drains_is_shown_and_stopped(
    named: bool, proxy: ProxyProcess, kssl: Kssl, tmp_path: Path
) -> None:
    where = ("--state-dir", str(tmp_path))
    with Client(proxy.port, ssl.create_default_context(cafile=proxy.ca)) as client:
        client.send(TUNNEL)
        client.take_until(b"\r\n\r\npart")
        successor = json.loads(kssl("restart", *where, "--json").stdout)["pid"]
        told = {each["pid"]: each for each in json.loads(kssl("status", *where, "--json").stdout)}
        assert told[successor]["waits_for"] is None
        assert told[proxy.pid]["state"] == "draining"
        waits = told[proxy.pid]["waits_for"]
        assert (waits["tunnels"], waits["requests"], waits["idle"]) == (1, 0, 0)
        assert 0 < waits["seconds"] <= LONG
        assert "waits for 1 tunnel" in kssl("status", *where).stdout
        more = ("--pid", str(proxy.pid)) if named else ()
        stopped = json.loads(kssl("stop", *where, *more, "--json").stdout)
        assert stopped["pids"] == ([proxy.pid] if named else [proxy.pid, successor])
        assert client.read_to_end() == (b"", "cut")
        assert [each.pid for each in all_services(tmp_path)] == ([successor] if named else [])
