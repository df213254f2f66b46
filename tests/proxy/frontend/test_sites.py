"""Several sites on one port: by Host and by SNI, with rules, plain HTTP and the HTTPERR log."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from kssl.config.client_certificates import ClientCertificates
from kssl.config.model import Hsts, Site, SiteLimits
from kssl.config.target import Target
from kssl.proxy.frontend.router import host_name
from tests.proxy.frontend.clients import Answer, Client, ClosedError, request
from tests.proxy.frontend.plain import PlainClient
from tests.proxy.frontend.rig import BINDINGS, PLAIN, TLS, Rig, wait_for
from tests.proxy.frontend.upstreams import Script, Upstream, UpstreamSide, answer_all, response

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "h11")], ids=["kernel", "user"], indirect=True
)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def target(upstream: Upstream) -> Target:
    return Target("http", "127.0.0.1", upstream.port)


def app(stack: ExitStack, name: bytes, script: Script | None = None) -> Target:
    """An upstream that answers with its name."""
    return target(stack.enter_context(Upstream(script or answer_all(response(name)))))


def site(name: str, upstream: Target, *hostnames: str, number: int = 1, **more: Any) -> Site:
    bindings = more.pop("bindings", (TLS,))
    return Site(
        name=name, number=number, hostnames=hostnames, bindings=bindings,
        upstreams=(upstream,), **more,
    )  # fmt: skip


def ask(client: Client | PlainClient, host: bytes, target: bytes = b"/") -> Answer:
    client.send(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host))
    return client.read_answer()


# -- which site --------------------------------------------------------------------------------


def test_by_host(proxy: Rig, stack: ExitStack) -> None:
    proxy.serve_sites(
        site("one", app(stack, b"one"), "one.test"),
        site("two", app(stack, b"two"), "two.test", "*.two.test"),
        site("rest", app(stack, b"rest"), default=True),
    )
    with proxy.client() as client:
        for host, body in (
            (b"one.test", b"one"), (b"two.test", b"two"), (b"ONE.Test", b"one"),
            (b"one.test:8443", b"one"), (b"one.test.", b"one"), (b"one.test.:1", b"one"),
            (b"a.two.test", b"two"), (b"a.b.two.test", b"rest"), (b"a.one.test", b"rest"),
            (b"127.0.0.1", b"rest"), (b"[::1]", b"rest"), (b"[::1]:8443", b"rest"),
            (b"one.test", b"one"), (b"one.test", b"one"),
        ):  # fmt: skip
            assert ask(client, host).body == body, host
        client.send(b"GET http://two.test/x HTTP/1.1\r\nHost: two.test\r\n\r\n")
        assert client.read_answer().body == b"two"


def test_nobody_has_the_name(proxy: Rig, stack: ExitStack) -> None:
    proxy.serve_sites(site("one", app(stack, b"one"), "one.test", number=7))
    with proxy.client() as client:
        assert ask(client, b"one.test").body == b"one"
        answer = ask(client, b"two.test", b"/x")
        assert (answer.status, answer.get(b"server")) == (404, b"kssl")
        with pytest.raises(ClosedError):
            client.more()
    (line,) = proxy.errors.of("Hostname")
    assert (line["status"], line["uri"], line["method"]) == (404, b"/x", b"GET")
    assert (line["version"], line["site"], line["queue"]) == (b"HTTP/1.1", 0, "")
    assert line["client"][0] == "127.0.0.1"
    assert line["server"] == ("127.0.0.1", proxy.port)


def test_http_1_0_without_host_gets_the_site_of_sni(proxy: Rig, stack: ExitStack) -> None:
    seen: list[bytes] = []

    def script(side: UpstreamSide) -> None:
        while True:
            seen.append(side.read_head())
            side.send(response(b"here"))

    proxy.serve_sites(
        site("rest", app(stack, b"rest"), default=True),
        site("here", app(stack, b"", script), "localhost"),
    )
    with proxy.client() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.read_answer().body == b"here"
    assert b"\r\nHost: localhost\r\n" in seen[0]


ASKS = ClientCertificates(required=True, ca=Path("/nobody.pem"))


def test_a_site_with_another_policy_is_misdirected(proxy: Rig, stack: ExitStack) -> None:
    """The connection's SNI is localhost."""
    proxy.serve_sites(
        site("open", app(stack, b"open"), "localhost", default=True),
        site("strict", app(stack, b"strict"), "strict.test", number=2, client_certificates=ASKS),
        site("also", app(stack, b"also"), "also.test"),
    )
    with proxy.client() as client:
        assert ask(client, b"also.test").body == b"also"
        assert ask(client, b"strict.test").status == 421
    (line,) = proxy.errors.of("Misdirected")
    assert (line["site"], line["queue"]) == (2, "strict")


def test_a_policy_that_comes_with_a_reload(proxy: Rig, stack: ExitStack) -> None:
    """The handshake was another one, although the site is the same."""
    before = site("a", app(stack, b"a"), "localhost", default=True)
    proxy.serve_sites(before)
    with proxy.client() as client:
        assert ask(client, b"localhost").body == b"a"
        proxy.call(lambda: proxy.apply(replace(before, client_certificates=ASKS)))
        assert ask(client, b"localhost").status == 421


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"A.Test", "a.test"), (b"a.test.:80", "a.test"), (b"a.test:", "a.test"),
        (b"[::1]", "[::1]"), (b"[2001:DB8::1]:443", "[2001:db8::1]"), (b"1.2.3.4:5", "1.2.3.4"),
    ],
)  # fmt: skip
def test_host_name(proxy: Rig, host: bytes, name: str) -> None:
    assert host_name(host) == name


# -- rules -------------------------------------------------------------------------------------


def test_limits_of_a_site(proxy: Rig, stack: ExitStack) -> None:
    limits = SiteLimits(max_allowed_content_length=5, max_url=10, max_query_string=3)
    proxy.serve_sites(site("a", app(stack, b"a"), default=True, number=3, limits=limits))
    chunked = request(b"POST", b"/", b"Transfer-Encoding: chunked") + b"6\r\n123456\r\n0\r\n\r\n"
    for data, status, reason in (
        (request(b"GET", b"/123456789?abc"), 200, ""),
        (request(b"GET", b"/1234567890"), 404, "URL_Length"),
        (request(b"GET", b"/?abcd"), 404, "URL_Length"),
        (request(b"POST", b"/", b"Content-Length: 6") + b"123456", 413, "EntityTooLarge"),
        (chunked, 413, "EntityTooLarge"),
        (request(b"POST", b"/", b"Content-Length: 5") + b"12345", 200, ""),
    ):
        with proxy.client() as client:
            client.send(data)
            assert client.read_answer().status == status, data
        if reason:
            assert proxy.errors.lines.pop()["reason"] == reason
    assert proxy.errors.lines == []


def test_max_connections_of_a_site(proxy: Rig, stack: ExitStack) -> None:
    """A request counts from its head to its end, however it ends."""
    go_on = threading.Event()

    def script(side: UpstreamSide) -> None:
        while True:
            side.read_request()
            assert go_on.wait(60)
            side.send(response(b"a"))

    limited = site(
        "a", app(stack, b"", script), "localhost", number=4, limits=SiteLimits(max_connections=1)
    )
    proxy.serve_sites(limited, site("b", app(stack, b"b"), "b.test"))
    running = proxy.front._sites["a"].running
    with proxy.client() as first:
        first.send(request())
        wait_for(lambda: running.count == 1, "the first one")
        with proxy.client() as second:
            assert ask(second, b"b.test").body == b"b"
            assert ask(second, b"localhost").status == 503
        proxy.call(lambda: proxy.apply(replace(limited, default=True)))
        with proxy.client() as third:  # it still counts
            assert ask(third, b"localhost").status == 503
        go_on.set()
        assert first.read_answer().body == b"a"
        assert running.count == 0
        assert ask(first, b"localhost").body == b"a"
        go_on.clear()
        first.send(request())
        wait_for(lambda: running.count == 1, "the last one")
        first.reset()
    wait_for(lambda: running.count == 0, "the client is gone")
    go_on.set()
    lines = proxy.errors.of("ConnLimit")
    assert [(line["status"], line["site"]) for line in lines] == [(503, 4)] * 2
    assert len(proxy.errors.of("Client_Reset")) == 1


def test_own_pages_say_what_the_site_wants(proxy: Rig, stack: ExitStack) -> None:
    gone = Target("http", "127.0.0.1", 1)
    proxy.serve_sites(site("a", gone, default=True, hsts=Hsts(60)), disable_server_header=1)
    with proxy.client() as client:
        answer = client.ask()
    assert answer.status == 502
    assert answer.get(b"strict-transport-security") == b"max-age=60"
    assert answer.get(b"server") is None


# -- without TLS -------------------------------------------------------------------------------


def plain(proxy: Rig) -> PlainClient:
    return PlainClient(proxy.plain_port)


def test_plain_http_to_a_site_for_https(proxy: Rig, stack: ExitStack) -> None:
    proxy.serve_sites(site("a", app(stack, b"a"), default=True, number=5, bindings=BINDINGS))
    with plain(proxy) as client:
        assert ask(client, b"a.test").status == 403
        assert client.at_end()
    (line,) = proxy.errors.of("Forbidden")
    assert (line["status"], line["site"]) == (403, 5)
    assert line["server"] == ("127.0.0.1", proxy.plain_port)


def test_plain_http_is_redirected(proxy: Rig, stack: ExitStack) -> None:
    proxy.serve_sites(
        site("a", app(stack, b"a"), default=True, bindings=BINDINGS, redirect=True, hsts=Hsts(60))
    )
    with plain(proxy) as client:
        answer = ask(client, b"a.test:80", b"/x?y")
        assert answer.status == 308
        assert answer.get(b"location") == b"https://a.test:%d/x?y" % proxy.port
        assert answer.get(b"strict-transport-security") is None  # RFC 6797 section 7.2
        assert client.at_end()
    with plain(proxy) as client:
        client.send(b"HEAD / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        assert client.read_answer(b"HEAD").status == 308
        assert client.at_end()
    assert proxy.errors.lines == []
    wait_for(lambda: len(proxy.log_lines) == 2, "the log lines")
    assert proxy.log_lines[0].endswith(b" - - plain")


def test_plain_http_to_a_site_that_has_it(proxy: Rig, stack: ExitStack) -> None:
    seen: list[bytes] = []

    def script(side: UpstreamSide) -> None:
        while True:
            head, body = side.read_request()
            seen.append(head)
            side.send(response(body or b"none"))

    upstream = app(stack, b"", script)
    proxy.serve_sites(site("a", upstream, default=True, bindings=(PLAIN,), ssl_flags=frozenset()))
    with plain(proxy) as client:
        assert ask(client, b"a.test").body == b"none"
        body = b"x" * 300_000
        client.send(b"POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 300000\r\n\r\n" + body)
        assert client.read_answer().body == body
    assert b"\r\nX-Forwarded-Proto: http\r\n" in seen[0]
    assert b"\r\nX-Forwarded-Port: %d\r\n" % proxy.plain_port in seen[0]
    assert b"\r\nX-Kssl-Mode: plain\r\n" in seen[0]
    assert b"X-Kssl-Cipher" not in seen[0]


# -- the HTTPERR log ---------------------------------------------------------------------------


def raw(proxy: Rig, data: bytes) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as sock:
        sock.sendall(data)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(4096):
                pass


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80\x2e\x01\x00\x02" + bytes(40), "Ssl2_Hello"),
        (b"\x80\x2e\x01\x80\x01" + bytes(40), "Pct1_Hello"),
        (b"\x80\x2e\x01\x03\x01" + bytes(40), "Ssl2_Format_Hello"),
        (b"\x16\x03\x01\x00\x02\x01\x00", "Handshake"),
        (b"\0\0\0\0", "BadRequest"),
    ],
)
def test_what_is_no_tls(
    proxy: Rig, data: bytes, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while sock.recv(4096):
                pass
    wait_for(lambda: proxy.errors.lines, "the line")
    (line,) = proxy.errors.lines
    assert (line["reason"], line["status"], line["uri"]) == (reason, 0, b"")
    assert len(caplog.records) == 1


def test_a_legacy_hello_byte_by_byte(proxy: Rig) -> None:
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"\x80\x2e\x01\x00\x02":
            sock.sendall(bytes([byte]))
        assert sock.recv(1) == b""
    assert [line["reason"] for line in proxy.errors.lines] == ["Ssl2_Hello"]


def test_plain_http_on_the_tls_port(proxy: Rig) -> None:
    raw(proxy, b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
    (line,) = proxy.errors.lines
    assert (line["reason"], line["status"]) == ("BadRequest", 400)
    assert (line["method"], line["uri"], line["version"]) == (b"GET", b"/x", b"HTTP/1.1")


def test_upstream_errors(proxy: Rig, stack: ExitStack) -> None:
    def script(side: UpstreamSide) -> None:
        head, _ = side.read_request()
        cut = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n."
        side.send(cut if b"/cut" in head else b"?\r\n\r\n")
        side.close()

    proxy.serve_sites(site("a", app(stack, b"", script), default=True, number=6))
    with proxy.client() as client:
        assert client.ask().status == 502
        client.send(request(b"GET", b"/cut"))
        assert client.read_to_end()[1] == "cut"
    lines = proxy.errors.of("Upstream")
    assert [(line["status"], line["uri"], line["site"]) for line in lines] == [
        (502, b"/", 6),
        (200, b"/cut", 6),
    ]


def test_a_client_that_leaves(proxy: Rig, stack: ExitStack) -> None:
    proxy.serve_sites(site("a", app(stack, b"a"), default=True))
    for data in (b"GET / HT", request(b"POST", b"/p", b"Content-Length: 9") + b"1"):
        with proxy.client() as client:
            client.send(data)
            client.fin()
            client.read_to_end()
    told = [(line["method"], line["uri"]) for line in proxy.errors.of("Connection_Dropped")]
    assert told == [(b"GET", b"/ HT"), (b"POST", b"/p")]


def test_timers(proxy: Rig, stack: ExitStack) -> None:
    proxy.serve_sites(
        site("a", app(stack, b"a"), default=True),
        idle_connection_timeout=1,
        header_wait_timeout=1,
        entity_body_timeout=1,
    )
    with ExitStack() as clients:
        idle, head, body = (clients.enter_context(proxy.client()) for _ in range(3))
        clients.enter_context(socket.create_connection(("127.0.0.1", proxy.port)))  # no hello
        idle.ask()
        head.send(b"GET / HTTP/1.1\r\n")
        body.send(request(b"POST", b"/", b"Content-Length: 9") + b"1")
        assert head.read_answer().status == 408
        assert body.read_answer().status == 408
        wait_for(lambda: len(proxy.errors.lines) == 4, "all lines")
    found = sorted((line["reason"], line["status"]) for line in proxy.errors.lines)
    assert found == [
        ("Timer_ConnectionIdle", 0),
        ("Timer_EntityBody", 408),
        ("Timer_HeaderWait", 0),
        ("Timer_HeaderWait", 408),
    ]


def test_connections_refused(proxy: Rig, stack: ExitStack) -> None:
    proxy.serve_sites(site("a", app(stack, b"a"), default=True))
    few = replace(proxy.front.parameters)
    object.__setattr__(few, "max_connections", 1)
    wait_for(lambda: proxy.front.open_connections == 0, "those of other tests are closed")
    proxy.front.parameters = few
    with proxy.client() as client:
        assert client.ask().body == b"a"
        raw(proxy, b"")
        wait_for(lambda: proxy.errors.lines, "the line")
    (line,) = proxy.errors.lines
    assert line["reason"] == "Connections_Refused"
    assert line["server"] == ("127.0.0.1", proxy.port)
