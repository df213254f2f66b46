"""Real traces, against an app that knows what it got."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from kssl.config.target import Target
from kssl.proxy.demo.process import start_demo_app
from kssl.proxy.trace.request import make_request
from kssl.proxy.trace.run import Plan, Trace, TraceError, run
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide, answer_all, response
from tests.proxy.trace.test_steps import FIVE, NINE, adds_up, handed_on, names

ANSWER = response(b"Hello, kssl\n")
TAG = 22


def plan(port: int, path: str = "/", size: str | None = None, *modes: str) -> Plan:
    target = Target("http", "127.0.0.1", port)
    request = make_request(target, path, method=None, size=size)
    return Plan(target=target, app="app", app_pid=None, request=request, modes=modes)


@pytest.fixture(scope="module")
def traced() -> Iterator[tuple[dict[str, Trace], Upstream]]:
    """One small request in each mode, behind a warm-up like it."""
    with Upstream(answer_all(ANSWER)) as app:
        found = {trace.mode: trace for trace in run(plan(app.port, "/a?b", None, "user", "kernel"))}
        yield found, app


def test_the_steps(traced: tuple[dict[str, Trace], Upstream]) -> None:
    found, app = traced
    assert names(found["user"].walk) == NINE
    assert names(found["kernel"].walk) == FIVE
    sides = [side for side in app.sides if side.received]  # not those that only looked
    for trace, side in zip(found.values(), sides, strict=True):
        walk = trace.walk
        assert adds_up(walk)
        assert handed_on(walk)
        assert (trace.reply.status, trace.reply.size) == (200, 12)
        assert trace.reached_the_app
        # The app got two requests that were the same, and answered both alike.
        (at_app,) = [step for step in walk.steps if step.actor == "app"]
        assert at_app.bytes_in * 2 == len(side.received)
        assert at_app.bytes_out == len(ANSWER)
        assert 0 < walk.front < walk.client <= trace.reply.end - trace.reply.begin
        assert [step.opened for step in walk.steps if step.opened] == [1]
        assert walk.steps[-1].bytes_in == walk.steps[-2].bytes_out > len(ANSWER)


def test_the_client_s_bytes(traced: tuple[dict[str, Trace], Upstream]) -> None:
    """One record of request, and its plaintext is what was asked."""
    for trace in traced[0].values():
        asked = trace.request.head()
        plaintext = len(b"GET /a?b HTTP/1.1\r\n\r\n") + sum(
            len(name) + len(value) + 4 for name, value in asked.headers
        )
        assert trace.walk.steps[0].bytes_out == plaintext + TAG


def test_processes(traced: tuple[dict[str, Trace], Upstream]) -> None:
    user, kernel = traced[0]["user"], traced[0]["kernel"]
    for trace in (user, kernel):
        pids = {step.actor: step.pid for step in (*trace.handshake.steps, *trace.walk.steps)}
        assert set(pids) == {"client", "front", "worker", "app"}
        assert pids.pop("app") is None
        assert len(set(pids.values())) == 3
    assert "worker" not in {step.actor for step in kernel.walk.steps}


def test_the_handshake(traced: tuple[dict[str, Trace], Upstream]) -> None:
    """TLS 1.3: one round for the client's hello, one for its Finished."""
    for trace in traced[0].values():
        steps = trace.handshake.steps
        assert [step.actor for step in steps] == ["client", "front", "worker", "front"] * 2 + [
            "client"
        ]
        assert handed_on(trace.handshake)


def test_large_bodies_both_ways() -> None:
    with start_demo_app() as app:
        for trace in run(plan(app.port, "/echo", "3M", "user", "kernel")):
            assert names(trace.walk) == (NINE if trace.mode == "user" else FIVE)
            assert trace.reply.size == 3 * 2**20
            assert adds_up(trace.walk)
            assert handed_on(trace.walk)
            steps = trace.walk.steps
            opened = sum(step.opened for step in steps)
            sealed = sum(step.sealed for step in steps)
            assert opened >= 192
            assert sealed >= 192
            assert steps[0].bytes_out > 3 * 2**20
            assert steps[-1].bytes_in > 3 * 2**20
            assert all(step.count > 1 for step in steps)


def test_an_app_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(TraceError, match=f"no app at http://127.0.0.1:{port}: connection refused"):
        list(run(plan(port, "/", None, "kernel")))


def test_an_app_that_does_not_answer() -> None:
    """The reply is kssl's own 502, and the trace says so."""
    with Upstream(lambda side: side.close()) as app:
        (trace,) = run(plan(app.port, "/", None, "kernel"))
    assert trace.reply.status == 502
    assert not trace.reached_the_app


def test_an_app_that_answers_before_it_has_the_body() -> None:
    def script(side: UpstreamSide) -> None:
        side.read_request()  # the warm-up
        side.send(ANSWER)
        side.read_head()
        side.send(ANSWER)

    with Upstream(script) as app:
        (trace,) = run(plan(app.port, "/", "64M", "kernel"))
    assert (trace.reply.status, trace.reply.size) == (200, 12)
    assert trace.reached_the_app


def test_two_hops() -> None:
    pytest.importorskip("kssl.fastpath.filter")
    with Upstream(answer_all(ANSWER)) as app:
        (trace,) = run(replace(plan(app.port, "/", None, "user"), hops=2))
    assert [step.actor for step in trace.walk.steps] == [
        "client", "front", "filter", "worker", "filter", "front", "app",
        "front", "filter", "worker", "filter", "front", "client",
    ]  # fmt: skip
    assert handed_on(trace.walk)
    assert adds_up(trace.walk)
