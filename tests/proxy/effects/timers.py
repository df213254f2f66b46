"""The time limits, with the shortest that is allowed: one second. All are live.

A limit that is kept too early is no limit that people can rely on, so each is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from tests.proxy.effects.service import Services
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.test_failures import full_listener


@contextmanager
def a_second(default: int = 120) -> Iterator[None]:
    """The block takes one at least, and not the many of the ``default``."""
    began = time.monotonic()
    yield
    assert 1 <= time.monotonic() - began < default


def idle_connection_timeout(services: Services) -> None:
    service = services.live
    service.set(IdleConnectionTimeout=1)
    with service.more("Timer_ConnectionIdle"), service.client() as client, a_second():
        assert client.ask().status == 200
        assert client.read_to_end() == (b"", "close_notify")


def header_wait_timeout(services: Services) -> None:
    """Of the handshake, which leaves nothing to answer with, and of a header."""
    service = services.live
    service.set(HeaderWaitTimeout=1)
    with ExitStack() as stack:
        stack.enter_context(service.more("Timer_HeaderWait"))
        stack.enter_context(service.more("Timer_HeaderWait", 408))
        hello = stack.enter_context(service.client(handshake=False))
        head = stack.enter_context(service.client())
        stack.enter_context(a_second(30))
        hello.sock.sendall(hello.client_hello()[:100])
        head.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n")
        assert head.read_answer().status == 408
        with suppress(ConnectionResetError):
            assert hello.sock.recv(1) == b""


def entity_body_timeout(services: Services) -> None:
    """Of a client that does not begin or go on with its body, and of one that does not read."""
    service = services.live
    service.set(EntityBodyTimeout=1)
    head = request(b"POST", b"/", b"Content-Length: 9")
    with ExitStack() as stack:
        deaf, none, one, later, continued = (
            stack.enter_context(service.client(receive_buffer=4096)) for _ in range(5)
        )
        stack.enter_context(a_second())
        stack.enter_context(service.more("Timer_Response", 200))
        stack.enter_context(service.more("Timer_EntityBody", 408, lines=4))
        deaf.send(request(b"GET", b"/bytes/%d" % (32 << 20)))
        none.send(head)
        one.send(head + b"1")
        later.send(head)
        later.send(b"1")
        continued.send(request(b"POST", b"/", b"Content-Length: 9", b"Expect: 100-continue"))
        for client in (none, one, later, continued):
            assert client.read_answer().status == 408


def upstream_connect_timeout(services: Services) -> None:
    service = services.live
    with full_listener() as port:
        service.set_before(port, UpstreamConnectTimeout=1)
        for left in (2, 1, 0):
            try:
                with a_second(10):
                    service.refuses(b"/", status=504, reason="Upstream")
                break
            except AssertionError:  # a machine that stood still for so long does so seldom
                if not left:
                    raise


def upstream_response_timeout(services: Services) -> None:
    """Of the header: 504. In the middle of a body the answer is cut off, and looks so."""
    service = services.live
    service.set(UpstreamResponseTimeout=1)
    with ExitStack() as stack:
        hang, stall, sent = (stack.enter_context(service.client()) for _ in range(3))
        stack.enter_context(a_second())
        stack.enter_context(service.more("Upstream", 504, lines=2))
        stack.enter_context(service.more("Upstream", 200))
        hang.send(request(b"GET", b"/hang"))
        stall.send(request(b"GET", b"/stall"))
        sent.send(request(b"POST", b"/hang", b"Content-Length: 1"))
        sent.send(b"1")
        for client in (hang, sent):
            assert client.read_answer().status == 504
        received, ending = stall.read_to_end()
        assert received.endswith(b"\r\n\r\nabc")
        assert ending == "cut"


def tunnel_idle_timeout(services: Services) -> None:
    service = services.live
    service.set(TunnelIdleTimeout=1)
    with service.more("Timer_ConnectionIdle", 101), service.client() as client, a_second():
        client.send(request(b"GET", b"/tunnel", b"Upgrade: raw", b"Connection: Upgrade"))
        assert client.read_answer().status == 101
        assert client.read_to_end() == (b"", "cut")
