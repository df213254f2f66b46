"""Apps that speak TLS: verified, reached by the same engines as clients, and believed only when
nobody can have cut what they say."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme

from kssl.config.model import Configuration
from kssl.config.target import Target, UpstreamTls
from tests.proxy.frontend.clients import CutError, post, request
from tests.proxy.frontend.rig import BINDINGS, Rig, one_site, wait_for
from tests.proxy.frontend.upstreams import (
    Script,
    Upstream,
    UpstreamSide,
    answer_all,
    chunked,
    echo,
    response,
)
from tests.strict_tls import StrictSocket

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)

BIG = os.urandom(1 << 20)
UNTIL_END = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"


@dataclass
class World:
    """A CA, and a certificate of an app by it."""

    ca: trustme.CA
    ca_path: Path
    server: ssl.SSLContext


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    path.chmod(0o600)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(server)
    return World(ca, path, server)


class Https:
    """Puts scripted apps with TLS behind the proxy."""

    def __init__(self, proxy: Rig, world: World, stack: ExitStack) -> None:
        self.proxy = proxy
        self.world = world
        self._stack = stack

    def app(self, script: Script, *, tls: ssl.SSLContext | None = None) -> Upstream:
        return self._stack.enter_context(Upstream(script, tls or self.world.server))

    def target(self, upstream: Upstream, **tls: object) -> Target:
        settings = UpstreamTls("localhost", ca=self.world.ca_path)
        return Target(
            "https",
            "127.0.0.1",
            upstream.port,
            tls=replace(settings, **tls),  # type: ignore[arg-type]
        )

    def serve(self, *targets: Target, pass_truncated: bool = False, **values: int) -> None:
        """As a reload does, so that the worker hears of it."""
        self.proxy.configure(**values)
        site = replace(
            one_site(targets[0]),
            bindings=BINDINGS,
            upstreams=targets,
            pass_truncated=pass_truncated,
        )
        parameters = self.proxy.front.parameters
        self.proxy.wait(
            self.proxy.service.reload(Configuration(parameters=parameters, sites=(site,)))
        )
        self.proxy.call(self.proxy.front.set_deadlines)

    def start(self, script: Script, **options: object) -> Upstream:
        upstream = self.app(script)
        self.serve(self.target(upstream), **options)  # type: ignore[arg-type]
        return upstream


@pytest.fixture
def https(proxy: Rig, world: World) -> Iterator[Https]:
    with ExitStack() as stack:
        yield Https(proxy, world, stack)


# -- what works as with plain upstreams ----------------------------------------------------


def test_requests_share_a_connection(proxy: Rig, https: Https) -> None:
    upstream = https.start(echo)
    with proxy.client() as client:
        for number in range(5):
            client.send(post(b"body %d" % number))
            assert client.read_answer().body == b"body %d" % number
    assert upstream.accepted == 1
    assert upstream.received.startswith(b"POST / HTTP/1.1\r\nHost: localhost\r\n")


def test_large_bodies_both_ways(proxy: Rig, https: Https) -> None:
    https.start(echo)
    with proxy.client() as client:
        data = client.records(post(BIG * 8))
        sender = threading.Thread(target=client.sock.sendall, args=(data,))
        sender.start()
        assert client.read_answer().body == BIG * 8
        sender.join()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_versions(proxy: Rig, https: Https, version: str) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.maximum_version = ssl.TLSVersion[version]
    https.world.ca.issue_cert("localhost").configure_cert(server)
    upstream = https.app(echo, tls=server)
    https.serve(https.target(upstream))
    with proxy.client() as client:
        client.send(post(b"hello"))
        assert client.read_answer().body == b"hello"


def test_chunked_and_pipelined(proxy: Rig, https: Https) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    https.start(answer_all(head + chunked([b"a" * 40_000, b"b"], b"X-Sum: 1")))
    with proxy.client() as client:
        client.send(request() * 3)
        for _ in range(3):
            answer = client.read_answer()
            assert answer.body == b"a" * 40_000 + b"b"
            assert answer.trailers == b"X-Sum: 1\r\n"


def test_closed_while_idle_is_noticed_and_a_post_is_sent_once(proxy: Rig, https: Https) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(response(b"%d" % side.number))  # and FIN without close_notify

    upstream = https.start(script)
    with proxy.client() as client:
        for number in range(3):
            client.send(post(b"x"))
            assert client.read_answer().body == b"%d" % number
            wait_for(lambda: not any(p._idle for p in proxy.front.pools.values()), "noticed")
    assert upstream.accepted == 3
    assert not proxy.errors.lines


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_records_that_are_there_before_the_request_are_nobodys_answer(
    proxy: Rig, https: Https, version: str
) -> None:
    """The front end stands still, and then hears of the client first."""

    def script(side: UpstreamSide) -> None:
        while True:
            _, body = side.read_request()
            side.send(response(b"%d %b" % (side.number, body)))

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.maximum_version = ssl.TLSVersion[version]
    https.world.ca.issue_cert("localhost").configure_cert(server)
    upstream = https.app(script, tls=server)
    https.serve(https.target(upstream))
    with proxy.client() as one, proxy.client() as other:
        for number in range(5):
            assert one.ask().body == b"%d " % number
            wait_for(lambda: proxy.idle_upstreams == 1, "a kept connection")
            with proxy.standing_still():
                other.send(post(b"body"))
                upstream.sides[-1].send(response(b"PWNED"))
            assert other.read_answer().body == b"%d body" % (number + 1)


# -- the guard -----------------------------------------------------------------------------


def ends(body: bytes, head: bytes = UNTIL_END, *, clean: bool) -> Script:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(head + body)
        if clean:
            assert isinstance(side.sock, StrictSocket)
            side.sock.unwrap()

    return script


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_body_to_the_end_is_whole_with_close_notify(
    proxy: Rig, https: Https, version: bytes
) -> None:
    https.start(ends(b"pay Bob 100000", clean=True))
    with proxy.client() as client:
        client.send(request(b"GET", b"/", b"Connection: close", version=version))
        got, ending = client.read_to_end()
    assert ending == "close_notify"
    assert b"pay Bob 100000" in got
    assert not proxy.errors.lines


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_body_to_the_end_is_cut_without(proxy: Rig, https: Https, version: bytes) -> None:
    before = proxy.front.journal.closes.truncated
    https.start(ends(b"pay Bob 100", clean=False))
    with proxy.client() as client:
        client.send(request(b"GET", b"/", b"Connection: close", version=version))
        got, ending = client.read_to_end()
    assert ending == "cut"
    assert b"\r\n0\r\n" not in got
    [line] = proxy.errors.lines
    assert line["reason"] == "Upstream_Truncated"
    assert line["status"] == 200
    assert proxy.front.journal.closes.truncated == before + 1


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_site_may_take_the_risk(proxy: Rig, https: Https, version: bytes) -> None:
    https.start(ends(b"pay Bob 100", clean=False), pass_truncated=True)
    with proxy.client() as client:
        client.send(request(b"GET", b"/", b"Connection: close", version=version))
        got, ending = client.read_to_end()
    assert ending == "close_notify"
    assert b"pay Bob 100" in got
    assert not proxy.errors.lines


@pytest.mark.parametrize("pass_truncated", [False, True])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_framing_is_never_relaxed(
    proxy: Rig, https: Https, framing: str, pass_truncated: bool
) -> None:
    if framing == "length":
        head, body = b"HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n", b"pay Bob 100"
    else:
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"b\r\npay Bob 100\r\n"
    https.start(ends(body, head, clean=False), pass_truncated=pass_truncated)
    with proxy.client() as client:
        client.send(request())
        assert client.read_to_end()[1] == "cut"
    assert proxy.errors.of("Upstream_Truncated")


def test_a_whole_answer_needs_no_close_notify(proxy: Rig, https: Https) -> None:
    https.start(ends(b"", response(b"hello", b"Connection: close"), clean=False))
    with proxy.client() as client:
        assert client.ask().body == b"hello"
    assert not proxy.errors.lines


def test_a_cut_head_is_a_bad_gateway(proxy: Rig, https: Https) -> None:
    https.start(ends(b"", b"HTTP/1.1 200 OK\r\nContent-Le", clean=False))
    with proxy.client() as client:
        assert client.ask().status == 502


# -- whom we believe -----------------------------------------------------------------------


def test_another_ca(proxy: Rig, https: Https, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    upstream = https.app(echo)
    https.serve(https.target(upstream, ca=other))
    with proxy.client() as client:
        answer = client.ask()
    assert answer.status == 502
    assert b"certificate" in answer.body
    wait_for(lambda: upstream.refused, "the app heard why")
    assert not upstream.received
    assert proxy.errors.of("Upstream")


def test_another_name(proxy: Rig, https: Https) -> None:
    upstream = https.app(echo)
    https.serve(https.target(upstream, name="app.example"))
    with proxy.client() as client:
        answer = client.ask()
    assert answer.status == 502
    assert b"app.example" in answer.body
    assert not upstream.received


def test_a_client_certificate(proxy: Rig, https: Https, tmp_path: Path) -> None:
    ca = https.world.ca
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(server)
    ca.configure_trust(server)
    server.verify_mode = ssl.CERT_REQUIRED
    ours = ca.issue_cert("proxy.example")
    pem = tmp_path / "proxy.pem"
    pem.touch(0o600)
    ours.private_key_and_cert_chain_pem.write_to_path(str(pem))

    def script(side: UpstreamSide) -> None:
        side.read_request()
        assert isinstance(side.sock, StrictSocket)
        shown = side.sock.getpeercert()
        side.send(response(str(shown).encode()))

    upstream = https.app(script, tls=server)
    https.serve(https.target(upstream, certificate=pem))
    with proxy.client() as client:
        assert b"proxy.example" in client.ask().body
    https.serve(https.target(upstream))
    with proxy.client() as client:
        assert client.ask().status == 502


def test_no_answer_to_the_handshake(proxy: Rig, https: Https) -> None:
    done = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.take(5)
        assert done.wait(60)

    with Upstream(script) as upstream:
        https.serve(https.target(upstream), upstream_connect_timeout=1)
        with proxy.client() as client:
            answer = client.ask()
            assert answer.status == 504
            assert b"TLS handshake" in answer.body
        done.set()


def test_no_tls_at_all(proxy: Rig, https: Https) -> None:
    with Upstream(lambda side: side.send(response(b"hello"))) as upstream:
        https.serve(https.target(upstream))
        with proxy.client() as client:
            assert client.ask().status == 502


def test_the_next_one_when_a_handshake_fails(proxy: Rig, https: Https) -> None:
    bad, good = https.app(echo), https.app(echo)
    https.serve(https.target(bad, name="app.example"), https.target(good))
    with proxy.client() as client:
        for _ in range(4):
            client.send(post(b"hello"))
            assert client.read_answer().body == b"hello"
    assert not bad.received


# -- aborts and tunnels --------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close_notify", "fin", "reset"])
def test_a_request_that_is_cut_ends_with_an_alert(proxy: Rig, https: Https, how: str) -> None:
    seen: list[object] = []
    began = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.take(3)
        began.set()
        try:
            seen.append(side.sock.recv(100))
        except ssl.SSLError as error:
            seen.append(error.reason)

    https.start(script)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 10") + b"abc")
        assert began.wait(60)
        getattr(client, how)()
        wait_for(lambda: seen, "the end at the app")
    assert seen == ["TLSV1_ALERT_INTERNAL_ERROR"]


SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"
ASK = request(b"GET", b"/", b"Upgrade: raw", b"Connection: Upgrade")


def test_a_tunnel(proxy: Rig, https: Https) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(SWITCH + b"hello")
        side.read_to_end()  # a clean end: `UpstreamSide` fails with another
        side.send(b"got " + side.unread)
        assert isinstance(side.sock, StrictSocket)
        side.sock.unwrap()

    https.start(script)
    with proxy.client() as client:
        client.send(ASK)
        assert client.read_answer().status == 101
        assert client.take(5) == b"hello"
        client.send(BIG)
        client.close_notify()
        client.fin()
        assert client.read_to_end() == (b"got " + BIG, "close_notify")


@pytest.mark.parametrize("pass_truncated", [False, True])
def test_a_tunnel_that_the_app_ends_by_fin(proxy: Rig, https: Https, pass_truncated: bool) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(SWITCH + b"pay Bob 100")

    https.start(script, pass_truncated=pass_truncated)
    with proxy.client() as client:
        client.send(ASK)
        assert client.read_answer().status == 101
        assert client.take(11) == b"pay Bob 100"
        if pass_truncated:
            assert client.read_to_end() == (b"", "close_notify")
        else:
            with pytest.raises(CutError):
                client.more()
            (error,) = proxy.errors.of("Upstream_Truncated")
            assert error["method"] == b"GET"  # it says whose


@pytest.mark.parametrize("pass_truncated", [False, True])
def test_a_fin_from_the_app_does_not_end_what_the_client_says(
    proxy: Rig, https: Https, pass_truncated: bool
) -> None:
    """It may be forged. The app, which is still there, must not take for all what it has."""
    seen: list[object] = []

    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(SWITCH)
        assert side.take(11) == b"pay Bob 100"
        with socket.socket(fileno=os.dup(side.sock.fileno())) as beneath_tls:
            beneath_tls.shutdown(socket.SHUT_WR)
        try:
            seen.append(side.sock.recv(100))
        except ssl.SSLError as error:
            seen.append(error.reason)

    https.start(script, pass_truncated=pass_truncated)
    with proxy.client() as client:
        client.send(ASK)
        assert client.read_answer().status == 101
        client.send(b"pay Bob 100")
        wait_for(lambda: seen, "the end at the app")
    assert seen == ["TLSV1_ALERT_INTERNAL_ERROR"]


def test_a_client_that_reads_slowly(proxy: Rig, https: Https) -> None:
    """The app is paused; nothing is lost."""
    https.start(answer_all(response(BIG * 16)))
    with proxy.client(receive_buffer=16 * 1024) as client:
        client.send(request())
        head = client.take_until(b"\r\n\r\n")
        assert b"200" in head
        assert client.take(len(BIG) * 16) == BIG * 16


def test_the_worker_dies(proxy: Rig, https: Https) -> None:
    """Kernel mode goes on; in user mode the records cannot, and nobody takes a part for all."""
    go_on = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(UNTIL_END + b"pay Bob 100")
        assert go_on.wait(60)
        side.send(b"000")
        assert isinstance(side.sock, StrictSocket)
        side.sock.unwrap()

    https.start(script)
    supervisor = proxy.front.supervisors[0]
    with proxy.client() as client:
        client.send(request(version=b"1.0"))
        client.take_until(b"100")
        assert supervisor.pid is not None
        os.kill(supervisor.pid, 9)
        wait_for(lambda: supervisor.restarts, "another worker")
        go_on.set()
        rest, ending = client.read_to_end()
    if proxy.mode == "kernel":
        assert (rest, ending) == (b"000", "close_notify")
    else:
        assert ending == "cut"
