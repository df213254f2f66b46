"""Clients that leave without a word, or stay and take nothing: when it is noticed."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from kssl.config.target import Target
from kssl.fastpath.net import keepalive
from kssl.proxy.frontend.http_connection import HttpConnection
from kssl.proxy.frontend.tunnel import UNHEARD
from tests.proxy.frontend.clients import Client, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.plain import PlainClient
from tests.proxy.frontend.rig import PLAIN, Rig, one_site, wait_for
from tests.proxy.frontend.upstreams import UpstreamSide, answer_all, response

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"
UPGRADE = request(b"GET", b"/", b"Upgrade: raw", b"Connection: Upgrade")


def connection_of(
    proxy: Rig, condition: Callable[[HttpConnection], object] = lambda connection: True
) -> HttpConnection:
    """The only one, once the condition holds."""
    found: list[HttpConnection] = []

    def look() -> bool:
        found[:] = [each._http for each in list(proxy.front.connections) if each._http is not None]
        return len(found) == 1 and bool(condition(found[0]))

    wait_for(look, "one connection, in a certain state")
    return found[0]


def peer_closed(connection: HttpConnection) -> bool:
    return connection._peer_closed


def congested(connection: HttpConnection) -> bool:
    """For good: the kernel grows its buffers for some time, and takes more."""
    backlog = connection.engine.backlog
    time.sleep(0.2)
    return bool(backlog) and connection.engine.backlog == backlog


def time_passes(
    proxy: Rig,
    connection: HttpConnection,
    *,
    limit: float = 1e9,
    when: Callable[[HttpConnection], object] = lambda connection: True,
) -> float:
    """Lets time pass on the sweep's clock, and nothing else happen, until ``connection`` is over.
    Begins ``when`` that holds. Returns seconds."""
    passed: list[float] = []

    def sweep() -> bool:
        deadlines = proxy.front.deadlines
        start = deadlines.now
        if not when(connection):
            return False
        while not connection.over and deadlines.now - start < limit:
            deadlines.now = connection.deadline
            proxy.front.set_deadlines()
            connection.expired()
        passed.append(deadlines.now - start)
        return True

    wait_for(lambda: proxy.call(sweep), "the state in which time begins to pass")
    return passed[0]


# -- leaving while the app is silent -------------------------------------------------------


def _close_notify_and_fin(client: Client) -> None:
    client.close_notify()
    client.fin()


def _close_notify_and_reset(client: Client) -> None:
    client.close_notify()
    client.reset()


LEAVES = [_close_notify_and_fin, _close_notify_and_reset, Client.reset]


@pytest.mark.parametrize("leave", LEAVES, ids=lambda leave: leave.__name__)
@pytest.mark.parametrize("begun", [False, True])
def test_the_apps_connection_ends_with_the_clients(
    proxy: Rig, serve: Serve, leave: Callable[[Client], None], begun: bool
) -> None:
    asked = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        if begun:
            side.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        asked.set()
        side.read_to_end()

    upstream = serve(script)
    with proxy.client() as client:
        client.send(request())
        assert asked.wait(15)
        if begun:
            client.take_until(b"data: 1\n\n")
        leave(client)
        assert upstream.sides[0].ended.wait(15)
    wait_for(lambda: not proxy.front.connections, "it is forgotten")
    wait_for(lambda: proxy.log_lines, "the line")
    (line,) = proxy.log_lines
    assert b'"GET / HTTP/1.1" 499 ' in line
    (error,) = proxy.errors.lines
    assert error["reason"] in ("Connection_Dropped", "Client_Reset")
    assert error["uri"] == b"/"


def test_close_notify_alone_waits_for_the_reply(proxy: Rig, serve: Serve) -> None:
    """And what comes behind it counts for nothing (RFC 9846 §6.1)."""
    go_on = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        assert go_on.wait(15)
        side.send(response(b"reply"))

    serve(script)
    with proxy.client() as client:
        client.send(request())
        client.close_notify()
        client.sock.sendall(bytes(1000))
        connection_of(proxy, peer_closed)
        go_on.set()
        assert client.read_answer().body == b"reply"
    assert not proxy.errors.lines


def test_the_request_keeps_its_deadline(proxy: Rig, serve: Serve) -> None:
    serve(UpstreamSide.read_to_end)
    with proxy.client() as client:
        client.send(request())
        client.close_notify()
        assert 120 <= time_passes(proxy, connection_of(proxy, peer_closed)) <= 122
        assert client.read_answer().status == 504


def test_without_tls_fin_is_half_of_it(proxy: Rig, serve: Serve) -> None:
    go_on = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        assert go_on.wait(15)
        side.send(response(b"reply"))

    upstream = serve(script)
    site = one_site(Target("http", "127.0.0.1", upstream.port))
    proxy.serve_sites(replace(site, bindings=(PLAIN,), ssl_flags=frozenset()))
    with PlainClient(proxy.plain_port) as client:
        client.send(request())
        client.sock.shutdown(socket.SHUT_WR)
        connection_of(proxy, peer_closed)
        go_on.set()
        assert client.read_answer().body == b"reply"


# -- taking nothing ------------------------------------------------------------------------


def test_a_client_that_never_reads_has_its_time_once(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(response(bytes(64 << 20))))
    with proxy.client() as client:
        client.send(request())
        assert 120 <= time_passes(proxy, connection_of(proxy), when=congested) <= 126
    (error,) = proxy.errors.of("Timer_Response")
    assert error["status"] == 200


def test_one_that_reads_slowly_is_not_cut(
    proxy: Rig, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(answer_all(response(bytes(64 << 20))))
    with proxy.client() as client:
        client.send(request())
        connection = connection_of(proxy)
        now = proxy.front.deadlines.now
        # It takes a byte every 100 seconds.
        left = lambda engine: 1_000_000 - int(proxy.front.deadlines.now - now) // 100  # noqa: E731
        monkeypatch.setattr(type(connection.engine), "outstanding", left)
        assert time_passes(proxy, connection, limit=2000, when=congested) >= 2000
        assert not connection.over
        assert not proxy.errors.lines


# -- tunnels -------------------------------------------------------------------------------


def tunnel(side: UpstreamSide) -> None:
    side.read_head()
    side.send(SWITCH)
    with suppress(ConnectionError):
        while data := side.sock.recv(1000):
            side.send(data)
    side.ended.set()


def open_tunnel(client: Client) -> None:
    client.send(UPGRADE)
    assert client.read_answer().status == 101
    client.send(b"ping")
    assert client.take(4) == b"ping"


def test_a_silent_tunnel(proxy: Rig, serve: Serve) -> None:
    upstream = serve(tunnel, tunnel_idle_timeout=600)
    with proxy.client() as client:
        open_tunnel(client)
        connection = connection_of(proxy)
        assert time_passes(proxy, connection, limit=500) <= 520
        client.send(b"ping")
        assert client.take(4) == b"ping"
        assert 600 <= time_passes(proxy, connection) <= 625
        assert client.read_to_end() == (b"", "cut")
        assert upstream.sides[0].ended.wait(15)
    (error,) = proxy.errors.lines
    assert (error["reason"], error["status"]) == ("Timer_ConnectionIdle", 101)


def test_a_tunnel_without_a_limit(proxy: Rig, serve: Serve) -> None:
    serve(tunnel, tunnel_idle_timeout=0)
    with proxy.client() as client:
        open_tunnel(client)
        assert time_passes(proxy, connection_of(proxy), limit=100_000) >= 100_000
        client.send(b"ping")
        assert client.take(4) == b"ping"


def test_a_tunnel_whose_client_vanished(
    proxy: Rig, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent to it is never acknowledged."""
    upstream = serve(tunnel)
    with proxy.client() as client:
        open_tunnel(client)
        connection = connection_of(proxy)
        monkeypatch.setattr(type(connection.engine), "unheard", lambda engine: UNHEARD)
        assert time_passes(proxy, connection) <= 60
        assert upstream.sides[0].ended.wait(15)
    (error,) = proxy.errors.lines
    assert (error["reason"], error["status"]) == ("Timer_Response", 101)


def test_what_is_acknowledged_is_heard(proxy: Rig, serve: Serve) -> None:
    serve(tunnel)
    with proxy.client() as client:
        open_tunnel(client)
        wait_for(lambda: not proxy.call(connection_of(proxy).engine.outstanding), "it is taken")
        assert proxy.call(connection_of(proxy).engine.unheard) == 0


# -- machines that vanish ------------------------------------------------------------------


def test_keep_alive_both_ways(proxy: Rig, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[socket.socket] = []
    monkeypatch.setattr("kssl.proxy.upstream.dial.keep_alive", asked.append)
    serve(tunnel)
    with proxy.client() as client:
        open_tunnel(client)
        (connection,) = proxy.front.connections
        sock = connection.channel.sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        found = [
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        ]
    assert found == [keepalive.IDLE, keepalive.INTERVAL, keepalive.PROBES]
    assert keepalive.IDLE + keepalive.INTERVAL * keepalive.PROBES <= 120
    assert len(asked) == 1
