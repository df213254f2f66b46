"""Connections to https:// upstreams go by their reference counts, however they end."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

import pytest

from tests.proxy.frontend.clients import Client, ClosedError, CutError, request
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.test_https_upstreams import (
    ASK,
    SWITCH,
    Https,
    World,
    ends,
    https,
    world,
)
from tests.proxy.frontend.test_no_cycles import _gone, unreachable
from tests.proxy.frontend.upstreams import Script, Upstream, UpstreamSide, echo, response
from tests.strict_tls import StrictSocket

__all__ = ["World", "https", "unreachable", "world"]

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)

_TIMES = 3
_LENGTH_9 = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
_UPLOAD = request(b"POST", b"/", b"Content-Length: 100000000") + bytes(300_000)


def _resets(side: UpstreamSide) -> None:
    side.read_request()
    side.send(response(b"hello"))
    side.reset()


def _echoes(side: UpstreamSide) -> None:
    side.read_head()
    side.send(SWITCH)
    while True:
        side.send(side.take(1))


def _alerts(side: UpstreamSide) -> None:
    side.read_request()
    assert isinstance(side.sock, StrictSocket)
    with socket.socket(fileno=side.sock.detach()) as bare:
        bare.settimeout(60)
        bare.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        bare.recv(100)


def _ends_early(side: UpstreamSide) -> None:
    side.take(5)


def _asks(client: Client) -> None:
    client.ask()


def _tunnels(client: Client) -> None:
    client.send(ASK)
    assert client.read_answer().status == 101
    client.send(b"x")
    assert client.take(1) == b"x"
    client.close_notify()
    client.fin()
    client.read_to_end()


def _cuts_a_tunnel(client: Client) -> None:
    client.send(ASK)
    assert client.read_answer().status == 101
    client.reset()


def _cuts_a_request(client: Client) -> None:
    client.send(_UPLOAD)
    client.reset()


CASES: dict[str, tuple[Script, Callable[[Client], None]]] = {
    "kept": (echo, _asks),
    "closes": (ends(b"", b"", clean=True), _asks),
    "cut": (ends(b"abc", _LENGTH_9, clean=False), _asks),
    "until the end": (ends(b"abc", clean=True), _asks),
    "resets": (_resets, _asks),
    "a bad record": (_alerts, _asks),
    "tunnel": (_echoes, _tunnels),
    "tunnel cut": (_echoes, _cuts_a_tunnel),
    "request cut": (UpstreamSide.read_to_end, _cuts_a_request),
}


def _visit(proxy: Rig, visit: Callable[[Client], None]) -> None:
    with proxy.client() as client, contextlib.suppress(ClosedError, CutError, OSError):
        visit(client)


def _nothing_is_left(proxy: Rig, unreachable: Callable[[], list[str]]) -> None:
    _gone(proxy)
    link = proxy.front.supervisors[0].link
    assert link is not None
    wait_for(lambda: len(link._receivers) == 1, "the worker's link knows only itself")
    wait_for(lambda: len(link._poller._polled) == 1, "nothing else is watched")
    proxy.configure()  # its sites and pools are over, too
    assert unreachable() == []


@pytest.mark.parametrize("case", CASES)
def test_an_established_connection(
    proxy: Rig, https: Https, unreachable: Callable[[], list[str]], case: str
) -> None:
    script, visit = CASES[case]
    https.start(script)
    for _ in range(_TIMES):
        _visit(proxy, visit)
    _nothing_is_left(proxy, unreachable)


@pytest.mark.parametrize("case", ["name", "no TLS", "FIN", "too slow"])
def test_a_handshake_that_fails(
    proxy: Rig, https: Https, unreachable: Callable[[], list[str]], case: str
) -> None:
    scripts: dict[str, Script] = {
        "no TLS": lambda side: side.send(b"220 mail.example ESMTP\r\n"),
        "FIN": _ends_early,
        "too slow": UpstreamSide.read_to_end,
    }
    if case == "name":
        https.serve(https.target(https.app(echo), name="app.example"))
        for _ in range(_TIMES):
            _visit(proxy, _asks)
        _nothing_is_left(proxy, unreachable)
        return
    with Upstream(scripts[case]) as upstream:
        https.serve(https.target(upstream), upstream_connect_timeout=1)
        for _ in range(_TIMES if case != "too slow" else 1):
            _visit(proxy, _asks)
        _nothing_is_left(proxy, unreachable)
