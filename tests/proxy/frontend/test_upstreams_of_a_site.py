"""Several upstreams: requests go round, and to another one when one is not there."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from dataclasses import replace

import pytest

from config.target import Target
from tests.proxy.frontend.clients import post
from tests.proxy.frontend.rig import Rig, one_site
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide, answer_all, response

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "h11")], ids=["kernel", "user"], indirect=True
)


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
        assert client.ask().status == 502  # each is tried again although both are left out
    assert [line["status"] for line in proxy.errors.of("Upstream")] == [502, 502]


def test_back_again(proxy: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        gone = nobody()
        serve(proxy, gone)
        serve(proxy, gone, *apps(stack, 1))
        with proxy.client() as client:
            assert client.ask().body == b"0"
            (down,) = (pool for pool in proxy.front.pools.values() if pool.target == gone)
            assert down.refused_until > 0

            assert client.ask().body == b"0"  # its turn
            with socket.create_server(("127.0.0.1", gone.port)) as sock:
                down.refused_until = 0.1  # the time is over
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
