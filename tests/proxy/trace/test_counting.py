"""`python -m kssl.proxy.trace.counting`: totals of a known number of requests."""

from __future__ import annotations

import json
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy
from kssl.proxy.trace.client import TracedClient
from kssl.proxy.trace.counting import NAMES, Counters
from kssl.proxy.trace.recorder import Event
from kssl.proxy.trace.request import make_request
from tests.proxy.frontend.clients import Client
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream, answer_all, response

ANSWER = response(b"abc")
TAG, FRAME = 22, 9
REQUESTS = 20


def totals(proxy: ProxyProcess, out: Path) -> dict[str, int]:
    """Since the last time."""
    out.unlink(missing_ok=True)
    proxy.process.send_signal(signal.SIGUSR1)
    wait_for(out.exists, "the totals")
    told: dict[str, int] = json.loads(out.read_text())
    assert tuple(told) == NAMES
    return told


@pytest.mark.parametrize("mode", ["user", "kernel"])
def test_totals(tmp_path: Path, mode: str) -> None:
    out = tmp_path / "out.json"
    program = ("kssl.proxy.trace.counting", str(out))
    with (
        Upstream(answer_all(ANSWER)) as app,
        spawn_proxy(
            str(app.port), "--mode", mode, state_dir=tmp_path / "state", program=program
        ) as proxy,
        Client(proxy.port, ssl.create_default_context(cafile=proxy.ca)) as client,
    ):
        client.ask()  # the handshake, and the connection to the app
        first = totals(proxy, out)
        received = len(app.sides[0].received)
        answers = [client.ask() for _ in range(REQUESTS)]
        told = totals(proxy, out)
        nothing = totals(proxy, out)
        to_app = len(app.sides[0].received) - received

    assert first["client_bytes_in"] > 500  # a ClientHello at least
    assert first["link_frames_out"] >= 3  # CONFIGURE, BEGIN, HANDSHAKE
    assert set(nothing.values()) == {0}
    assert (told["client_sends"], told["upstream_sends"]) == (REQUESTS, REQUESTS)
    assert told["client_recvs"] >= REQUESTS
    assert told["upstream_recvs"] >= REQUESTS
    assert told["upstream_bytes_in"] == REQUESTS * len(ANSWER)
    assert told["upstream_bytes_out"] == to_app
    given = sum(len(answer.head) + len(answer.body) for answer in answers)
    assert 0 <= told["client_bytes_out"] - given - REQUESTS * TAG <= REQUESTS * 4
    links = {name: told[name] for name in NAMES if name.startswith("link")}
    if mode == "kernel":
        assert set(links.values()) == {0}
    else:
        assert (links["link_frames_in"], links["link_frames_out"]) == (2 * REQUESTS, 2 * REQUESTS)
        assert (links["link_sends"], links["link_recvs"]) == (2 * REQUESTS, 2 * REQUESTS)
        # Records there, plaintext back; plaintext there, records back.
        plaintext_in = told["client_bytes_in"] - REQUESTS * TAG
        plaintext_out = told["client_bytes_out"] - REQUESTS * TAG
        frames = REQUESTS * FRAME * 2
        assert links["link_bytes_out"] == told["client_bytes_in"] + plaintext_out + frames
        assert links["link_bytes_in"] == plaintext_in + told["client_bytes_out"] + frames


def test_bytes_to_a_slow_client(tmp_path: Path) -> None:
    """What the kernel refuses is counted when it goes, and once."""
    out = tmp_path / "out.json"
    answer = response(bytes(8_000_000))
    with (
        Upstream(answer_all(answer)) as app,
        spawn_proxy(
            str(app.port),
            state_dir=tmp_path / "state",
            program=("kssl.proxy.trace.counting", str(out)),
        ) as proxy,
        TracedClient(proxy.port, ssl.create_default_context(cafile=proxy.ca)) as client,
    ):
        totals(proxy, out)
        before = len(client.recording.events)
        reply = client.ask(make_request(None, "/", method=None))
        told = totals(proxy, out)
        events = client.recording.events[before:]
    assert reply.size == 8_000_000
    assert told["client_bytes_out"] == sum(one.size for one in events if one.what == "recv")
    assert told["client_bytes_in"] == sum(one.size for one in events if one.what == "send")
    assert told["upstream_bytes_in"] == len(answer)


def test_nothing_is_lost_between_two_looks() -> None:
    counters = Counters()
    counters.count(Event(0, 1, "recv", "client", size=5))
    counters.count(Event(0, 1, "drain", "upstream", size=7))
    counters.count(Event(0, 1, "recv", "", size=9))  # of nobody known
    first = counters.take()
    counters.count(Event(0, 1, "recv", "client", size=0))
    second = counters.take()
    assert {name: value for name, value in first.items() if value} == {
        "client_recvs": 1, "client_bytes_in": 5, "upstream_sends": 1, "upstream_bytes_out": 7,
    }  # fmt: skip
    assert {name: value for name, value in second.items() if value} == {"client_recvs": 1}


@pytest.mark.parametrize("arguments", [(), ("out.json",), ("/no/such/folder/out.json", "serve")])
def test_usage(arguments: tuple[str, ...]) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "kssl.proxy.trace.counting", *arguments],
        capture_output=True,
        text=True,
    )
    assert found.returncode == 2
    assert found.stderr.startswith("usage: ")
