"""Connections that end before their first request: counted, and no line of a log for each."""

from __future__ import annotations

import contextlib
import logging
import socket
import struct
from collections.abc import Callable

import pytest

from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.plain import PlainClient
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import answer_all, response

both_modes = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "h11")], ids=["kernel", "user"], indirect=True
)


def tcp(proxy: Rig) -> None:
    """As a load balancer that looks whether the port is open."""
    socket.create_connection(("127.0.0.1", proxy.port)).close()


def tcp_with_reset(proxy: Rig) -> None:
    sock = socket.create_connection(("127.0.0.1", proxy.port))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def tcp_without_tls(proxy: Rig) -> None:
    socket.create_connection(("127.0.0.1", proxy.plain_port)).close()


def handshake(proxy: Rig) -> None:
    proxy.client().sock.close()


def handshake_with_reset(proxy: Rig) -> None:
    proxy.client().reset()


def handshake_and_close_notify(proxy: Rig) -> None:
    with proxy.client() as client:
        client.close_notify()
        client.read_to_end()


PROBES = [
    tcp,
    tcp_with_reset,
    tcp_without_tls,
    handshake,
    handshake_with_reset,
    handshake_and_close_notify,
]


@both_modes
@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.__name__)
def test_a_probe_is_counted_and_has_no_line(
    proxy: Rig, probe: Callable[[Rig], None], caplog: pytest.LogCaptureFixture
) -> None:
    if probe is tcp_without_tls:
        proxy.call(lambda: proxy.front.journal.sweep())
    before = proxy.front.journal.closes.probes
    for _ in range(3):
        probe(proxy)
    wait_for(lambda: proxy.front.journal.closes.probes == before + 3, "all are counted")
    wait_for(lambda: proxy.front.open_connections == 0 or drop(proxy), "all are over")
    assert proxy.front.journal.closes.probes == before + 3
    assert proxy.errors.lines == []
    assert proxy.errors.unclean == []
    assert proxy.errors._probes == 3
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def drop(proxy: Rig) -> bool:
    proxy.call(lambda: proxy.front.drop_closed())
    return proxy.front.open_connections == 0


@both_modes
@pytest.mark.parametrize("tls", [True, False])
def test_who_has_asked_for_something_is_no_probe(proxy: Rig, serve: Serve, tls: bool) -> None:
    serve(answer_all(response(b"abc")))
    before = proxy.front.journal.closes.probes
    client = proxy.client() if tls else PlainClient(proxy.plain_port)
    with client:
        assert client.ask().status  # whatever it is: without TLS most sites have a page for it
    wait_for(lambda: proxy.front.open_connections == 0 or drop(proxy), "it is over")
    assert proxy.front.journal.closes.probes == before
    assert len(proxy.errors.unclean) == int(tls)


@both_modes
@pytest.mark.parametrize("said", [b"GE", b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n\r\n"])
def test_a_part_of_a_request_or_a_bad_one_is_no_probe(proxy: Rig, said: bytes) -> None:
    before = proxy.front.journal.closes.probes
    with proxy.client() as client:
        client.send(said)
        client.sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            client.read_to_end()
    wait_for(lambda: proxy.front.open_connections == 0 or drop(proxy), "it is over")
    assert proxy.front.journal.closes.probes == before
    assert [line["reason"] for line in proxy.errors.lines] in (["Connection_Dropped"], ["URL"])


@both_modes
def test_a_part_of_a_hello_is_no_probe(proxy: Rig) -> None:
    before = proxy.front.journal.closes.probes
    with socket.create_connection(("127.0.0.1", proxy.port)) as sock:
        sock.sendall(b"GE")
    wait_for(lambda: proxy.errors.lines, "a line")
    assert proxy.front.journal.closes.probes == before
