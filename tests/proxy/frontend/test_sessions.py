"""Three workers, and a client that comes back: it meets the one that has its session."""

from __future__ import annotations

import copy
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from kssl.config.model import Configuration
from kssl.config.target import Target
from kssl.fastpath.ipc.supervisor import Supervisor
from kssl.proxy.frontend.hello import HelloCollector
from tests.needs import need
from tests.proxy.frontend.clients import Client
from tests.proxy.frontend.rig import BINDINGS, Rig, one_site, wait_for
from tests.proxy.frontend.upstreams import Upstream, answer_all, response

WORKERS = 3
TIMES = 10

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
one_version = pytest.mark.parametrize("tls13", [True], ids=["TLS1.3"])


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Rig]]:
    rigs: dict[str, Rig] = {}

    def get(mode: str) -> Rig:
        if mode not in rigs:
            rigs[mode] = Rig(mode, tmp_path_factory.mktemp("state"), workers=WORKERS)
        return rigs[mode]

    yield get
    for rig in rigs.values():
        rig.stop()


@pytest.fixture(params=["kernel", "user"])
def workers(request: pytest.FixtureRequest, running: Callable[[str], Rig]) -> Iterator[Rig]:
    """A proxy with three of them."""
    rig = running(request.param)
    rig.configure()
    yield rig
    rig.settle()


@pytest.fixture
def upstream(workers: Rig) -> Iterator[Upstream]:
    with Upstream(answer_all(response(b"a"))) as upstream:
        workers.configure(port=upstream.port)
        yield upstream


class Browser:
    """One client with its session; connections one after the other."""

    def __init__(self, rig: Rig, *, tls13: bool) -> None:
        self._rig = rig
        self._context = ssl.create_default_context(cafile=rig.service.ca)
        version = ssl.TLSVersion.TLSv1_3 if tls13 else ssl.TLSVersion.TLSv1_2
        self._context.minimum_version = self._context.maximum_version = version
        self._session: ssl.SSLSession | None = None

    def connect(self, *, handshake: bool = True, name: str = "localhost") -> Client:
        return Client(
            self._rig.port, self._context, handshake=handshake, session=self._session, name=name
        )

    def ask(self, client: Client) -> bool:
        """Whether the session was resumed."""
        assert client.ask().body == b"a"
        self._session = client.session
        return client.resumed

    def visit(self, *, clean: bool = True) -> bool:
        """A connection from beginning to end."""
        with self.connect() as client:
            resumed = self.ask(client)
            if clean:
                client.close_notify()
            else:
                client.fin()
            client.read_to_end()
        self._rig.wait_until_over()
        return resumed

    @property
    def owner(self) -> Supervisor | None:
        """Whose worker the next connection will meet for its session."""
        with self.connect(handshake=False) as client:
            collector = HelloCollector()
            assert collector.add(client.client_hello())
        sessions = self._rig.front.sessions
        assert sessions is not None
        return self._rig.call(lambda: sessions.owner(collector.session_ids))


# -- a client that comes back ------------------------------------------------------------------


@every_version
def test_resumed_every_time_after_a_clean_close(
    workers: Rig, upstream: Upstream, tls13: bool
) -> None:
    browser = Browser(workers, tls13=tls13)
    assert not browser.visit()
    assert [browser.visit() for _ in range(TIMES)] == [True] * TIMES


@every_version
def test_resumed_while_the_first_connection_lasts(
    workers: Rig, upstream: Upstream, tls13: bool
) -> None:
    browser = Browser(workers, tls13=tls13)
    with ExitStack() as stack:
        first = stack.enter_context(browser.connect())
        assert not browser.ask(first)
        for _ in range(TIMES):
            assert browser.ask(stack.enter_context(browser.connect()))


@every_version
def test_many_clients_at_a_time(workers: Rig, upstream: Upstream, tls13: bool) -> None:
    """Those without a session take the workers in turn, and each comes back to its own."""
    browsers = [Browser(workers, tls13=tls13) for _ in range(2 * WORKERS)]
    assert [browser.visit() for browser in browsers] == [False] * len(browsers)
    owners = [browser.owner for browser in browsers]
    assert [owners.count(each) for each in workers.front.supervisors] == [2] * WORKERS
    for _ in range(2):
        assert [browser.visit() for browser in browsers] == [True] * len(browsers)
    assert [browser.owner for browser in browsers] == owners


@every_version
def test_not_under_a_name_with_another_certificate(
    workers: Rig, upstream: Upstream, tls13: bool
) -> None:
    """The client is sent to the worker that has its session, which makes a full handshake."""
    browser = Browser(workers, tls13=tls13)
    assert not browser.visit()
    for _ in range(WORKERS):
        with browser.connect(name="a.localhost") as client:
            assert client.ask().body == b"a"
            assert not client.resumed
    assert browser.visit()


@every_version
def test_an_unclean_close_costs_the_session(workers: Rig, upstream: Upstream, tls13: bool) -> None:
    workers.configure(port=upstream.port, enable_ssl_close_notify=1)
    browser = Browser(workers, tls13=tls13)
    assert not browser.visit()
    assert browser.visit(clean=False)
    owner = browser.owner
    assert owner is not None  # the table knows nothing of it
    for _ in range(WORKERS):
        assert not browser.visit(clean=False)


@every_version
def test_an_unclean_close_costs_nothing_when_close_notify_is_off(
    workers: Rig, upstream: Upstream, tls13: bool
) -> None:
    workers.configure(port=upstream.port, enable_ssl_close_notify=0)
    browser = Browser(workers, tls13=tls13)
    assert not browser.visit(clean=False)
    assert [browser.visit(clean=False) for _ in range(TIMES)] == [True] * TIMES


@every_version
def test_a_hello_in_single_bytes(workers: Rig, upstream: Upstream, tls13: bool) -> None:
    browser = Browser(workers, tls13=tls13)
    assert not browser.visit()
    for _ in range(WORKERS):
        with browser.connect(handshake=False) as client:
            hello = client.client_hello()
            for at in range(len(hello)):
                client.sock.sendall(hello[at : at + 1])
            client.handshake()
            assert browser.ask(client)
            client.close_notify()
            client.read_to_end()


@one_version
def test_a_hello_in_fifty_records(workers: Rig, upstream: Upstream, tls13: bool) -> None:
    browser = Browser(workers, tls13=tls13)
    assert not browser.visit()
    for _ in range(WORKERS):
        with browser.connect(handshake=False) as client:
            message = client.client_hello()[5:]
            size = len(message) // 50 + 1
            for at in range(0, len(message), size):
                part = message[at : at + size]
                client.sock.sendall(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part)
            client.handshake()
            assert browser.ask(client)
            client.close_notify()
            client.read_to_end()


@every_version
def test_s_client(workers: Rig, upstream: Upstream, tls13: bool, tmp_path: Path) -> None:
    session = tmp_path / "session.pem"

    def visit(*options: str) -> str:
        version = "-tls1_3" if tls13 else "-tls1_2"
        command = [
            need("openssl"), "s_client", "-connect", f"127.0.0.1:{workers.port}", version,
            "-servername", "localhost", "-ign_eof", "-sess_out", str(session), *options,
        ]  # fmt: skip
        ask = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ran = subprocess.run(command, input=ask, capture_output=True, timeout=60, check=True)
        workers.wait_until_over()
        found = re.search(rb"^(New|Reused), TLSv1", ran.stdout, re.MULTILINE)
        assert found, ran
        return found[1].decode()

    assert visit() == "New"
    assert [visit("-sess_in", str(session)) for _ in range(TIMES)] == ["Reused"] * TIMES


# -- the owner cannot have it ------------------------------------------------------------------


@every_version
def test_the_owner_was_killed(workers: Rig, upstream: Upstream, tls13: bool) -> None:
    browser = Browser(workers, tls13=tls13)
    assert not browser.visit()
    owner = browser.owner
    assert owner is not None
    assert owner.pid is not None
    assert browser.visit()
    restarts, before = owner.restarts, copy.copy(browser)
    os.kill(owner.pid, signal.SIGKILL)
    wait_for(lambda: owner.link is None or owner.restarts > restarts, "its end was seen")
    assert browser.owner is None
    with browser.connect() as client:
        assert not browser.ask(client)
    wait_for(lambda: owner.restarts > restarts, "another worker")
    assert before.owner is None
    for _ in range(WORKERS):  # the new one has its turn
        browser = Browser(workers, tls13=tls13)
        assert not browser.visit()
        if browser.owner is owner:
            break
    assert browser.owner is owner
    assert [browser.visit() for _ in range(WORKERS)] == [True] * WORKERS


@every_version
def test_the_owner_is_overloaded(
    workers: Rig, upstream: Upstream, tls13: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = Browser(workers, tls13=tls13)
    assert not browser.visit()
    assert browser.visit()
    monkeypatch.setattr("kssl.fastpath.ipc.sessions._OVERLOADED", -1)
    assert [browser.visit() for _ in range(WORKERS)].count(True) <= 1  # whose turn it is


@one_version
def test_sessions_and_owners_outlive_a_reload(
    workers: Rig, upstream: Upstream, tls13: bool
) -> None:
    browser = Browser(workers, tls13=tls13)
    assert not browser.visit()
    target = Target("http", "127.0.0.1", upstream.port)
    site = replace(one_site(target), bindings=BINDINGS)
    configuration = Configuration(parameters=workers.front.parameters, sites=(site,))
    workers.wait(workers.service.reload(configuration))
    assert [browser.visit() for _ in range(TIMES)] == [True] * TIMES


# -- what comes instead of a hello -------------------------------------------------------------


def plain(rig: Rig, stack: ExitStack) -> socket.socket:
    sock = stack.enter_context(socket.create_connection(("127.0.0.1", rig.port)))
    sock.settimeout(60)
    return sock


def half_hello(rig: Rig) -> bytes:
    with Browser(rig, tls13=True).connect(handshake=False) as client:
        return client.client_hello()[:100]


def test_no_proper_hello_is_answered_with_an_alert(workers: Rig) -> None:
    with ExitStack() as stack:
        for sent in (b"\x16\x03\x01\x00\x05hello", b"\x16\x03\x01\x00\x00" * 40):
            sock = plain(workers, stack)
            sock.sendall(sent)
            assert sock.recv(100)[:1] == b"\x15"


def test_fin_in_the_middle(workers: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        sock = plain(workers, stack)
        sock.sendall(half_hello(workers))
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
        wait_for(lambda: workers.errors.of("Connection_Dropped"), "the line")
    workers.wait_until_over()
    (record,) = caplog.records
    assert record.getMessage() == "127.0.0.1: closed before TLS began"


def test_fin_behind_the_hello(workers: Rig) -> None:
    """The worker has it and answers; without the client's Finished that is all."""
    with ExitStack() as stack:
        sock = plain(workers, stack)
        with Browser(workers, tls13=True).connect(handshake=False) as client:
            sock.sendall(client.client_hello())
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(1) == b"\x16"
    workers.wait_until_over()


def test_fin_behind_the_hello_during_a_reload(workers: Rig) -> None:
    """It is not read before the handshake begins."""
    workers.call(workers.front.begin_reload)
    with ExitStack() as stack:
        sock = plain(workers, stack)
        with Browser(workers, tls13=True).connect(handshake=False) as client:
            sock.sendall(client.client_hello())
        wait_for(lambda: workers.front._held, "it waits")
        sock.shutdown(socket.SHUT_WR)
        for _ in range(3):  # turns of the loop, in which it could be read
            workers.call(lambda: None)
        workers.call(workers.front.end_reload)
        assert sock.recv(1) == b"\x16"
    workers.wait_until_over()


def test_reset_in_the_middle(workers: Rig) -> None:
    hello = half_hello(workers)
    with ExitStack() as stack:
        sock = plain(workers, stack)
        sock.sendall(hello)
        wait_for(lambda: any(each._first for each in [*workers.front.connections]), "it is read")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    workers.wait_until_over()
    assert workers.errors.lines == []  # as before TLS: nothing was asked


def test_the_rest_never_comes(workers: Rig, caplog: pytest.LogCaptureFixture) -> None:
    workers.configure(header_wait_timeout=1)
    with ExitStack() as stack:
        sock = plain(workers, stack)
        sock.sendall(half_hello(workers))
        assert sock.recv(100) == b""
    wait_for(lambda: workers.errors.of("Timer_HeaderWait"), "the line")
    assert "a ClientHello took longer than HeaderWaitTimeout" in caplog.text


def test_with_one_worker_nothing_is_read(tmp_path: Path) -> None:
    rig = Rig("kernel", tmp_path)
    try:
        assert rig.front.sessions is None
        with Upstream(answer_all(response(b"a"))) as upstream:
            rig.configure(port=upstream.port)
            browser = Browser(rig, tls13=True)
            assert [browser.visit() for _ in range(3)] == [False, True, True]
    finally:
        rig.stop()
