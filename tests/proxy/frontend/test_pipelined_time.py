"""Time limits of pipelined requests: nobody pays for what an earlier response, or we, took."""

from __future__ import annotations

import socket
import threading

import pytest

from kssl.proxy.frontend.http_connection import HttpConnection
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import UpstreamSide, echo, response

pytestmark = pytest.mark.parametrize(
    "proxy",
    [("kernel", "httptools"), ("user", "h11")],
    ids=["kernel-httptools", "user-h11"],
    indirect=True,
)

LIMIT = 600  # seconds


def connection_of(proxy: Rig) -> HttpConnection:
    """The only one."""
    wait_for(lambda: [each for each in proxy.front.connections if each._http], "a connection")
    (connection,) = proxy.front.connections
    assert connection._http is not None
    return connection._http


@pytest.mark.parametrize("sent", [b"half", b"whole"])
def test_a_request_that_comes_while_an_earlier_response_waits(
    proxy: Rig, serve: Serve, sent: bytes
) -> None:
    """When the client has read that, the new request has its own time: to send the rest of the
    body, or to be answered."""
    first, rest = (b"01234", b"56789") if sent == b"half" else (b"0123456789", b"")
    taken, go_on = threading.Event(), threading.Event()
    large = b"x" * 40_000

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(response(large))
        side.read_head()
        side.take(len(first))
        taken.set()
        assert go_on.wait(60)
        side.take(len(rest))
        side.send(response(b"done"))

    serve(script, entity_body_timeout=LIMIT, upstream_response_timeout=LIMIT)
    with proxy.client(receive_buffer=2304) as client:
        connection = connection_of(proxy)
        (accepted,) = proxy.front.connections
        sock = accepted.channel.sock
        proxy.call(lambda: sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2304))
        client.send(request())
        wait_for(lambda: connection.engine.congested, "a response that waits for the client")
        wait_for(lambda: connection._exchange is None, "the end of the exchange")
        client.send(request(b"POST", b"/", b"Content-Length: 10"))
        wait_for(lambda: connection._exchange is not None, "the next exchange")
        client.send(first)
        assert taken.wait(60)
        assert connection.engine.congested
        assert client.read_answer().body == large
        wait_for(lambda: not connection.engine.backlog, "nothing that waits")
        left = proxy.call(lambda: connection.deadline - proxy.front.deadlines.now)
        go_on.set()
        client.send(rest)
        assert client.read_answer().body == b"done"
    assert left > LIMIT / 2


def test_a_request_that_waits_for_its_turn(
    proxy: Rig, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long others go first: it is not the client that does not read."""
    exchange_done = HttpConnection.exchange_done
    waited: list[bool] = []

    def late(connection: HttpConnection, keep_alive: bool) -> None:
        exchange_done(connection, keep_alive)
        if connection._next_waits:
            waited.append(True)
            connection.expired()

    monkeypatch.setattr(HttpConnection, "exchange_done", late)
    serve(echo)
    with proxy.client() as client:
        client.send(request() * 3)
        assert [client.read_answer().status for _ in range(3)] == [200] * 3
    assert waited
    assert not proxy.errors.of("Timer_Response")
