"""Connections to the app that are kept between requests: for how long, and what is said when the
app closes one as a request is sent."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from kssl.proxy.service.snapshot import snapshot
from kssl.proxy.upstream.pool import MAX_IDLE_TIME
from tests.proxy.frontend.clients import post, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig
from tests.proxy.frontend.upstreams import Script, UpstreamSide, answer_all, response

each_mode = pytest.mark.parametrize(
    "proxy",
    [("kernel", "httptools"), ("user", "h11")],
    ids=["kernel-httptools", "user-h11"],
    indirect=True,
)
UNSURE = b"may or may not have acted on this request"


def uncertain(proxy: Rig) -> int:
    """As `kssl status` tells it."""

    async def ask() -> int:
        document = await snapshot(proxy.front, [], datetime.now(UTC))
        (upstream,) = document["upstreams"]
        return int(upstream["uncertain"])

    return proxy.wait(ask())


def closes_the_second(how: str) -> Script:
    """An app whose connections end when their second request is here."""

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(response(b"%d" % side.number))
        side.read_head()
        getattr(side, how)()

    return script


@each_mode
@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"LOCK"])
def test_nobody_knows_what_became_of_it(proxy: Rig, serve: Serve, method: bytes, how: str) -> None:
    upstream = serve(closes_the_second(how))
    with proxy.client() as client:
        client.ask()
        client.send(post(b"2", method=method))
        answer = client.read_answer()
        assert answer.status == 502
        assert UNSURE in answer.body
        assert uncertain(proxy) == 1
        client.send(request())
        assert client.read_answer().body == b"1"
        assert uncertain(proxy) == 1
    assert upstream.accepted == 2


@each_mode
@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE"])
def test_an_idempotent_request_is_sent_again(proxy: Rig, serve: Serve, method: bytes) -> None:
    serve(closes_the_second("close"))
    with proxy.client() as client:
        client.ask()
        assert client.ask(method).body == b"1"
    assert uncertain(proxy) == 0


@each_mode
def test_an_idempotent_request_that_is_no_longer_here(proxy: Rig, serve: Serve) -> None:
    """Its body was passed on, so it cannot be sent again. The client can do that."""
    serve(closes_the_second("close"))
    with proxy.client() as client:
        client.ask()
        client.send(request(b"PUT", b"/", b"Content-Length: 200000") + bytes(150_000))
        answer = client.read_answer()
        assert answer.status == 502
        assert UNSURE not in answer.body
        assert uncertain(proxy) == 1


@each_mode
@pytest.mark.parametrize(("method", "unsure"), [(b"POST", True), (b"GET", False)])
def test_other_ways_to_get_no_answer(proxy: Rig, serve: Serve, method: bytes, unsure: bool) -> None:
    """The app has the request, on a new connection, and fails or hangs or talks nonsense. That is
    not for the count, which is about connections that are kept."""

    def script(side: UpstreamSide) -> None:
        head = side.read_head()
        if b" /hang " in head:
            side.read_to_end()
        if b" /bad " in head:
            side.send(b"nonsense\r\n\r\n")

    serve(script, upstream_response_timeout=1)
    with proxy.client() as client:
        for target, status in ((b"/close", 502), (b"/bad", 502), (b"/hang", 504)):
            answer = client.ask(method, target)
            assert answer.status == status
            assert (UNSURE in answer.body) is unsure
    assert uncertain(proxy) == 0


@each_mode
def test_an_app_that_has_seen_nothing(proxy: Rig) -> None:
    with proxy.client() as client:
        answer = client.ask(b"POST")
        assert answer.status == 502
        assert b"cannot be reached" in answer.body
        assert UNSURE not in answer.body
    assert uncertain(proxy) == 0


@each_mode
@pytest.mark.parametrize(
    ("fields", "seconds"),
    [((), MAX_IDLE_TIME), ((b"Keep-Alive: timeout=5",), 4.0), ((b"Keep-Alive: timeout=1",), 0.5)],
    ids=["nothing", "5", "1"],
)
def test_the_app_says_for_how_long(
    proxy: Rig, serve: Serve, fields: tuple[bytes, ...], seconds: float
) -> None:
    serve(answer_all(response(b"ok", *fields)))

    def sweep() -> tuple[int, int]:
        """Connections kept just before the time is over, and when it is."""
        (pool,) = proxy.front.pools.values()
        (connection,) = pool._idle
        until = connection.idle_until
        released = until - seconds
        assert proxy.front.deadlines.now - 60 < released <= proxy.front.deadlines.now
        pool.sweep(until - 0.001)
        before = pool.idle
        pool.sweep(until)
        return before, pool.idle

    with proxy.client() as client:
        for _ in range(2):
            assert client.ask().body == b"ok"
        assert proxy.call(sweep) == (1, 0)


@each_mode
def test_the_last_request_of_a_connection(proxy: Rig, serve: Serve) -> None:
    upstream = serve(answer_all(response(b"ok", b"Keep-Alive: timeout=5, max=0")))
    with proxy.client() as client:
        for _ in range(2):
            client.send(post(b"1"))
            assert client.read_answer().body == b"ok"
    assert upstream.accepted == 2
