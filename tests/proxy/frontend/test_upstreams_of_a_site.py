"""Several upstreams: requests go round, and to another one when one is not there."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest

from kssl.config.target import Target
from tests.proxy.frontend.clients import post
from tests.proxy.frontend.rig import Rig, one_site, wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide, answer_all, response
from tests.proxy.upstream.support import black_hole

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "h11")], ids=["kernel", "user"], indirect=True
)

NEVER = float("inf")


def nobody() -> Target:
    """A port that refuses."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return Target("http", "127.0.0.1", sock.getsockname()[1])


def serve(proxy: Rig, *targets: Target, **values: int) -> None:
    proxy.serve_sites(replace(one_site(targets[0]), upstreams=targets), **values)


def apps(stack: ExitStack, count: int) -> list[Target]:
    """Each answers with its number."""
    return [
        Target(
            "http",
            "127.0.0.1",
            stack.enter_context(Upstream(answer_all(response(b"%d" % number)))).port,
        )
        for number in range(count)
    ]


def test_round_robin(proxy: Rig) -> None:
    with ExitStack() as stack:
        serve(proxy, *apps(stack, 3))
        with proxy.client() as first, proxy.client() as second:
            bodies = [client.ask().body for _ in range(3) for client in (first, second)]
    assert bodies == [b"0", b"1", b"2"] * 2


def test_one_is_not_there(proxy: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """No request is lost, with a body or without, and it is said once."""
    with ExitStack() as stack:
        gone = nobody()
        serve(proxy, gone, *apps(stack, 2))
        with proxy.client() as client:
            for _ in range(3):
                client.send(post(b"x" * 100_000))
                assert client.read_answer().status == 200
                assert client.ask().status == 200
    assert caplog.messages == [f"upstream {gone}: connection refused; others take its requests"]
    assert proxy.errors.lines == []


def test_none_is_there(proxy: Rig) -> None:
    first, second = nobody(), nobody()
    serve(proxy, first, second)
    with proxy.client() as client:
        answer = client.ask()
        assert answer.status == 502
        assert str(second).encode() in answer.body
        assert client.ask().status == 502  # each is tried again although both are paused
    assert [line["status"] for line in proxy.errors.of("Upstream")] == [502, 502]


def test_back_again(proxy: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        gone = nobody()
        serve(proxy, gone)
        serve(proxy, gone, *apps(stack, 1))
        with proxy.client() as client:
            assert client.ask().body == b"0"
            (down,) = (pool for pool in proxy.front.pools.values() if pool.target == gone)
            assert down.health.failures == 1

            assert client.ask().body == b"0"  # its turn
            with socket.create_server(("127.0.0.1", gone.port)) as sock:
                down.health._until = 0.0  # the pause is over
                client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                sock.settimeout(60)
                side = UpstreamSide(sock.accept()[0], 0)
                side.read_request()
                side.send(response(b"back"))
                assert client.read_answer().body == b"back"
                side.close()
    assert caplog.messages[-1] == f"upstream {gone}: answers again"


def test_an_upstream_that_has_the_request_is_not_left(proxy: Rig) -> None:
    """It may have acted on it: 502, and nobody else gets it."""

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.close()

    with Upstream(script) as closing, Upstream(answer_all(response(b"b"))) as other:
        first, second = (Target("http", "127.0.0.1", each.port) for each in (closing, other))
        serve(proxy, first, second)
        with proxy.client() as client:
            assert client.ask().status == 502
            assert other.accepted == 0


def test_sites_share_the_pool_of_a_target(proxy: Rig) -> None:
    with ExitStack() as stack:
        (target,) = apps(stack, 1)
        site = one_site(target)
        others = [
            replace(site, name=f"s{n}", hostnames=(f"s{n}.test",), default=False)
            for n in range(200)
        ]
        proxy.serve_sites(site, *others)
        assert len(proxy.front.pools) == 1
        with proxy.client() as client:
            assert client.ask().body == b"0"


def test_one_that_is_silent_is_paused(proxy: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """It takes connections, and says nothing: connecting does not make it well again, an answer
    does."""
    speak = threading.Event()

    def script(side: UpstreamSide) -> None:
        while True:
            side.read_request()
            if not speak.is_set():
                side.read_to_end()
            side.send(response(b"back"))

    with ExitStack() as stack:
        silent = Target("http", "127.0.0.1", stack.enter_context(Upstream(script)).port)
        serve(proxy, silent, *apps(stack, 1), upstream_response_timeout=1)
        (pool,) = (pool for pool in proxy.front.pools.values() if pool.target == silent)
        client = stack.enter_context(proxy.client())
        assert client.ask().status == 504
        assert pool.health.failures == 1
        pool.health._until = NEVER
        assert [client.ask().body for _ in range(4)] == [b"0"] * 4
        speak.set()
        pool.health._until = 0.0  # the pause is over
        assert sorted(client.ask().body for _ in range(2)) == [b"0", b"back"]
        assert not pool.health.failures
    assert caplog.messages[-2:] == [
        f"upstream {silent}: no answer within UpstreamResponseTimeout (1 s); "
        "others take its requests",
        f"upstream {silent}: answers again",
    ]


def test_one_that_closes_instead_of_answering_is_paused(proxy: Rig) -> None:
    """As a load balancer does that has nobody behind it."""

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.close()

    with Upstream(script) as closing, ExitStack() as stack:
        serve(proxy, Target("http", "127.0.0.1", closing.port), *apps(stack, 1))
        with proxy.client() as client:
            assert client.ask().status == 502
            (pool,) = (each for each in proxy.front.pools.values() if each.health.failures)
            pool.health._until = NEVER
            assert [client.ask().body for _ in range(4)] == [b"0"] * 4


def test_a_client_that_leaves_gives_its_trial_back(proxy: Rig) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_to_end()

    with Upstream(script) as silent, ExitStack() as stack:
        target = Target("http", "127.0.0.1", silent.port)
        serve(proxy, target, *apps(stack, 1))
        (pool,) = (pool for pool in proxy.front.pools.values() if pool.target == target)
        pool.health.failed(None, 0.0, 0.0, silent=True)  # its pause is over
        with proxy.client() as client:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_for(lambda: silent.accepted, "the trial")
            assert pool.health.trial is not None
            client.reset()
        wait_for(lambda: pool.health.trial is None, "the trial is given back")


def test_a_black_hole_holds_nobody_up(proxy: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Not for the time limit of connecting, which is longer than any client here waits."""
    with ExitStack() as stack:
        hole = stack.enter_context(black_hole())
        serve(proxy, hole, *apps(stack, 1), upstream_connect_timeout=120)
        clients = [stack.enter_context(proxy.client()) for _ in range(4)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [client.read_answer().body for client in clients] == [b"0"] * 4
        for client in clients:
            client.send(post(b"x" * 100_000))
            assert client.read_answer().body == b"0"
    assert len([line for line in caplog.messages if str(hole) in line]) == 1
