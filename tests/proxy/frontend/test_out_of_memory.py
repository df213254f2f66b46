"""Clients that do not read, more than there is memory for."""

from __future__ import annotations

import threading
from contextlib import ExitStack

import pytest

from kssl.proxy.frontend.capacity import CONNECTION_COST
from tests.proxy.frontend.clients import ClosedError, CutError, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import UpstreamSide, answer_all, response

both_modes = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)

REFUSED = (OSError, ClosedError, CutError)
MOST = 4 << 20  # bytes; less than can be set, so that few clients are enough
CLIENTS = 60
LARGE = bytes(8 << 20)  # the kernel takes some four


def large_or_small(side: UpstreamSide) -> None:
    while True:
        side.send(response(LARGE if b"/large" in side.read_head() else b"abc"))


@both_modes
def test_the_slowest_are_cut_and_the_others_go_on(
    proxy: Rig, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    serve(large_or_small)
    proxy.call(lambda: setattr(proxy.front.capacity, "memory", MOST))
    before = proxy.front.capacity.cut
    most = 0
    with proxy.client() as quick, ExitStack() as stack:
        assert quick.ask().body == b"abc"
        for _ in range(CLIENTS):
            try:
                slow = stack.enter_context(proxy.client(receive_buffer=4096))
            except REFUSED:
                break
            slow.send(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
            most = max(most, proxy.call(lambda: proxy.front.capacity.used_memory(0)))
            assert quick.ask().body == b"abc"
        wait_for(lambda: "(4 MiB)" in caplog.text, "there is no more memory")
        assert quick.ask().body == b"abc"
    proxy.settle()
    assert most < 2 * MOST  # what comes in one turn is above it for a moment
    cut = proxy.front.capacity.cut - before
    assert len(proxy.errors.of("Memory_Full")) <= cut  # none for what is only being closed
    assert cut or proxy.errors.of("Connections_Refused")


@both_modes
def test_new_clients_are_refused_when_memory_is_used_up(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(response(b"abc")))
    with proxy.client() as client:
        assert client.ask().body == b"abc"
        proxy.call(lambda: setattr(proxy.front.capacity, "memory", 1))
        with pytest.raises(REFUSED):
            proxy.client()
        assert client.ask().body == b"abc"
    wait_for(lambda: proxy.errors.of("Connections_Refused"), "it is logged")


@both_modes
def test_pipelined_requests_that_wait_for_an_answer_count(proxy: Rig, serve: Serve) -> None:
    """Of each client as much is kept as one read may bring, beyond the longest head."""
    clients = 50  # with the longest head each, they need less than there is
    assert clients * (CONNECTION_COST + proxy.front.limits.max_request_bytes) < MOST
    ask = request()
    many = ask * (60_000 // len(ask))
    never = threading.Event()

    def silent(side: UpstreamSide) -> None:
        side.read_head()
        never.wait(60)

    upstream = serve(silent)
    proxy.call(lambda: setattr(proxy.front.capacity, "memory", MOST))
    with ExitStack() as stack:
        stack.callback(never.set)
        all_clients = [stack.enter_context(proxy.client()) for _ in range(clients)]
        for client in all_clients:
            client.send(ask)
        wait_for(lambda: sum(bool(side.received) for side in upstream.sides) == clients, "requests")
        with proxy.standing_still():
            for client in all_clients:
                client.send(many)
        wait_for(lambda: proxy.errors.of("Memory_Full"), "the slowest are cut", 20)
