"""Connections to https:// upstreams: `Handshake`, worker and engine as clients of real servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import subprocess
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from fastpath.engines.aead import AeadEngine
from fastpath.engines.contract import Engine
from tests.fastpath.harness import ENGINES, PATIENCE, Accepted, Place, tcp_pair, until
from tests.fastpath.worker.servers import NAME, Pki, text, told
from tests.needs import need

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
every_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)

LONG = bytes(range(256)) * 4096  # a MiB

Script = Callable[[ssl.SSLSocket], bytes]


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def module_place(
    pki: Pki, tmp_path_factory: pytest.TempPathFactory, hops: int
) -> AsyncIterator[Place]:
    place = Place(
        tmp_path_factory.mktemp("state"),
        None,
        hops=hops,
        upstreams=[
            told(ca=pki.ca),
            told("b.example", ca=pki.ca),
            told(ca=pki.ca, certificate=pki.rsa),
        ],
    )
    await place.start()
    yield place
    await place.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def place(module_place: Place) -> AsyncIterator[Place]:
    yield module_place
    module_place.settle()


def server_context(pki: Pki, *, tls13: bool, client_ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    version = ssl.TLSVersion.TLSv1_3 if tls13 else ssl.TLSVersion.TLSv1_2
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(pki.ecdsa)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


class Served:
    """A server's end in a thread: TLS, then ``script``. ``result`` waits for what that returns."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, script: Script) -> None:
        sock.settimeout(PATIENCE)
        self._sock = sock
        self._context = context
        self._script = script
        self._returned: bytes | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._context.wrap_socket(self._sock, server_side=True) as wrapped:
                self._returned = self._script(wrapped)
        except BaseException as error:
            self._error = error
        finally:
            self._sock.close()

    async def result(self) -> bytes:
        await until(lambda: not self._thread.is_alive(), "the server is done")
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._returned is not None
        return self._returned


def read_exactly(sock: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(65536)
        assert part, "the client ended too early"
        data += part
    return data


async def connected(accepted: Accepted) -> None:
    await until(lambda: accepted.decided, "handshake")
    assert accepted.failure is None, accepted.failure


# -- data ----------------------------------------------------------------------------------


@every_engine
@every_version
async def test_data_both_ways(engine: type[Engine], tls13: bool, place: Place, pki: Pki) -> None:
    def script(sock: ssl.SSLSocket) -> bytes:
        data = read_exactly(sock, len(LONG))
        sock.sendall(data)
        return data

    theirs, ours = tcp_pair()
    served = Served(theirs, server_context(pki, tls13=tls13), script)
    accepted = place.to_upstream(engine, ours, text(told(ca=pki.ca)))
    await connected(accepted)
    assert accepted.session is not None
    assert accepted.session.server_name == NAME
    assert accepted.session.version == ("TLSv1.3" if tls13 else "TLSv1.2")
    assert bool(accepted.keys) == engine.kernel_mode
    await accepted.write_all(LONG)
    assert await served.result() == LONG
    await until(lambda: len(accepted.sink.data) == len(LONG), "the echo")
    assert accepted.sink.data == LONG
    accepted.close()


@every_engine
@every_version
async def test_our_certificate(engine: type[Engine], tls13: bool, place: Place, pki: Pki) -> None:
    def script(sock: ssl.SSLSocket) -> bytes:
        return repr(sock.getpeercert()).encode()

    theirs, ours = tcp_pair()
    context = server_context(pki, tls13=tls13, client_ca=pki.ca)
    served = Served(theirs, context, script)
    upstream = text(told(ca=pki.ca, certificate=pki.rsa))
    accepted = place.to_upstream(engine, ours, upstream)
    await connected(accepted)
    assert NAME.encode() in await served.result()


# -- the end -------------------------------------------------------------------------------


@every_engine
@every_version
@pytest.mark.parametrize("clean", [True, False], ids=["close_notify", "FIN"])
async def test_how_the_server_ends(
    engine: type[Engine], tls13: bool, clean: bool, place: Place, pki: Pki
) -> None:
    def script(sock: ssl.SSLSocket) -> bytes:
        sock.sendall(b"reply")
        if clean:
            # Sends its close_notify, then waits for the client's end.
            with contextlib.suppress(ssl.SSLError, OSError):
                sock.unwrap().close()
        else:
            raw = socket.socket(fileno=sock.detach())
            raw.shutdown(socket.SHUT_WR)
            raw.close()
        return b""

    theirs, ours = tcp_pair()
    served = Served(theirs, server_context(pki, tls13=tls13), script)
    accepted = place.to_upstream(engine, ours, text(told(ca=pki.ca)))
    await connected(accepted)
    await until(lambda: accepted.sink.closed, "the server's end")
    assert accepted.sink.closed == [clean]
    assert accepted.sink.data == b"reply"
    accepted.close()
    await served.result()


@every_engine
@every_version
async def test_we_end(engine: type[Engine], tls13: bool, place: Place, pki: Pki) -> None:
    def script(sock: ssl.SSLSocket) -> bytes:
        data = sock.recv(100)
        assert sock.recv(100) == b""  # raises for FIN without close_notify
        return data

    theirs, ours = tcp_pair()
    context = server_context(pki, tls13=tls13)
    served = Served(theirs, context, script)
    accepted = place.to_upstream(engine, ours, text(told(ca=pki.ca)))
    await connected(accepted)
    accepted.write(b"request")
    accepted.close()
    assert await served.result() == b"request"
    await accepted.gone()


# -- openssl s_server ----------------------------------------------------------------------


class SServer:
    """The command line tool. It reads commands from its standard input: `K` is a KeyUpdate that
    asks for ours."""

    def __init__(self, pki: Pki, *options: str) -> None:
        self.process = subprocess.Popen(
            [
                *(need("openssl"), "s_server", "-accept", "127.0.0.1:0", "-naccept", "1"),
                *("-cert", str(pki.ecdsa), "-key", str(pki.ecdsa), *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self.process.stdout is not None
        self.port = 0
        for line in self.process.stdout:
            if line.startswith(b"ACCEPT"):
                self.port = int(line.rpartition(b":")[2])
                break
        assert self.port, "it did not start"
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said = b""

    def type(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def has_said(self, what: bytes) -> bool:
        assert self.process.stdout is not None
        self.said += self.process.stdout.read() or b""
        return what in self.said

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        sock.setblocking(False)
        return sock

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()


def read_key(accepted: Accepted) -> bytes:
    """What opens the next record, in kernel mode."""
    engine = accepted.engine
    return engine._layer.keys.read.key if isinstance(engine, AeadEngine) else b""


@every_engine
async def test_key_updates(engine: type[Engine], place: Place, pki: Pki) -> None:
    server = SServer(pki, "-tls1_3", "-num_tickets", "5")
    try:
        accepted = place.to_upstream(engine, server.connect(), text(told(ca=pki.ca)))
        await connected(accepted)
        first = read_key(accepted)
        for turn in range(3):
            request, reply = b"request %d\n" % turn, b"reply %d\n" % turn
            accepted.write(request)
            await until(lambda request=request: server.has_said(request), "request")  # type: ignore[misc]
            server.type(reply)
            await until(lambda reply=reply: accepted.sink.data.endswith(reply), "reply")  # type: ignore[misc]
            server.type(b"K\n" if turn % 2 == 0 else b"k\n")
        assert not accepted.sink.failed
        if engine.kernel_mode:  # else the worker has them
            assert read_key(accepted) != first
        accepted.close()
    finally:
        server.end()


@every_engine
async def test_tls12_with_s_server(engine: type[Engine], place: Place, pki: Pki) -> None:
    server = SServer(pki, "-tls1_2")
    try:
        accepted = place.to_upstream(engine, server.connect(), text(told(ca=pki.ca)))
        await connected(accepted)
        accepted.write(b"request\n")
        await until(lambda: server.has_said(b"request\n"))
        server.type(b"reply\n")
        await until(lambda: accepted.sink.data == b"reply\n")
        server.type(b"r\n")  # HelloRequest
        await until(lambda: accepted.sink.failed)
        assert accepted.sink.failed == ["the peer asked for a renegotiation"]
    finally:
        server.end()


async def test_hello_retry_request(place: Place, pki: Pki) -> None:
    server = SServer(pki, "-tls1_3", "-groups", "P-521")
    try:
        accepted = place.to_upstream(ENGINES[0], server.connect(), text(told(ca=pki.ca)))
        await connected(accepted)
        assert accepted.session is not None
        assert accepted.session.group == "secp521r1"
        accepted.close()
    finally:
        server.end()


# -- failures ------------------------------------------------------------------------------


async def failed(place: Place, sock: socket.socket, upstream: str) -> Accepted:
    accepted = place.to_upstream(ENGINES[0], sock, upstream)
    await until(lambda: accepted.decided, "the failure")
    assert accepted.failure is not None
    return accepted


async def received(sock: socket.socket) -> bytes:
    """The first bytes that came."""
    sock.setblocking(False)
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(sock, 65536), PATIENCE)


@every_version
async def test_a_wrong_name(tls13: bool, place: Place, pki: Pki) -> None:
    theirs, ours = tcp_pair()
    served = Served(theirs, server_context(pki, tls13=tls13), lambda sock: b"")
    accepted = await failed(place, ours, text(told("b.example", ca=pki.ca)))
    assert accepted.failure == "its certificate is for a.example, not for b.example"
    assert accepted.keys == b""
    with pytest.raises(ssl.SSLError, match=r"(?i)alert"):
        await served.result()
    await accepted.gone()


async def test_no_tls(place: Place, pki: Pki) -> None:
    theirs, ours = tcp_pair()
    accepted = place.to_upstream(ENGINES[0], ours, text(told(ca=pki.ca)))
    assert (await received(theirs))[:1] == b"\x16"
    theirs.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" + bytes(30000))
    theirs.close()
    await until(lambda: accepted.decided)
    assert accepted.failure == "it does not speak TLS on this port; is it an http:// upstream?"
    await accepted.gone()


async def test_a_server_that_speaks_first(place: Place, pki: Pki) -> None:
    """Its bytes must not be taken for a part of the CONNECT frame."""
    theirs, ours = tcp_pair()
    theirs.send(b"220 mail.example ESMTP\r\n" + bytes(30000))
    await until(lambda: ours.recv(1, socket.MSG_PEEK))
    accepted = await failed(place, ours, text(told(ca=pki.ca)))
    assert accepted.failure == "it does not speak TLS on this port; is it an http:// upstream?"
    assert place.supervisor.restarts == 0
    theirs.close()
    await accepted.gone()


async def test_a_server_that_speaks_while_there_is_no_worker(pki: Pki, tmp_path: Path) -> None:
    """Its bytes are there when CONNECT goes out, and no part of that."""
    place = Place(tmp_path, None, upstreams=[told(ca=pki.ca)])
    await place.start()
    try:
        place.kill_worker()
        await place.worker_is_lost()
        theirs, ours = tcp_pair()
        accepted = place.to_upstream(ENGINES[0], ours, text(told(ca=pki.ca)))
        theirs.send(b"220 mail.example ESMTP\r\n" + bytes(30000))
        await until(lambda: accepted.handshake._ahead or accepted.decided)
        assert not accepted.decided, "the new worker was faster than the test"
        await until(lambda: accepted.decided)
        assert accepted.failure == "it does not speak TLS on this port; is it an http:// upstream?"
        theirs.close()
        place.settle()
    finally:
        await place.stop()


@pytest.mark.parametrize("sent", [0, 3, 100])
async def test_the_server_closes_in_the_middle(sent: int, place: Place, pki: Pki) -> None:
    theirs, ours = tcp_pair()
    accepted = place.to_upstream(ENGINES[0], ours, text(told(ca=pki.ca)))
    assert await received(theirs)
    if sent:
        theirs.send((b"\x16\x03\x03\x0f\x00\x02" + bytes(200))[:sent])
    theirs.close()
    await until(lambda: accepted.decided)
    assert accepted.failure == "it closed the connection during the TLS handshake"
    await accepted.gone()


async def test_the_server_closes_at_once(place: Place, pki: Pki) -> None:
    """Before the worker has said anything."""
    theirs, ours = tcp_pair()
    theirs.close()
    accepted = await failed(place, ours, text(told(ca=pki.ca)))
    assert accepted.failure is not None
    assert accepted.failure.startswith(("it closed the connection", "connection reset", "broken"))
    await accepted.gone()


async def test_an_unknown_upstream(place: Place, pki: Pki) -> None:
    theirs, ours = tcp_pair()
    accepted = await failed(place, ours, text(told("c.example", ca=pki.ca)))
    assert accepted.failure == "the configuration no longer has this upstream"
    assert await received(theirs) == b""
    theirs.close()
    await accepted.gone()


# -- a worker that dies --------------------------------------------------------------------


async def test_a_worker_that_dies_before_the_client_hello(pki: Pki, tmp_path: Path) -> None:
    """Another one makes it."""
    place = Place(tmp_path, None, upstreams=[told(ca=pki.ca)])
    await place.start()
    try:
        theirs, ours = tcp_pair()
        os.kill(place.pid, signal.SIGSTOP)
        accepted = place.to_upstream(ENGINES[0], ours, text(told(ca=pki.ca)))
        place.kill_worker()
        await place.worker_is_lost()
        served = Served(theirs, server_context(pki, tls13=True), lambda sock: sock.recv(100))
        await connected(accepted)
        accepted.write(b"request")
        assert await served.result() == b"request"
        place.settle()
    finally:
        await place.stop()


async def test_a_worker_that_dies_after_it(pki: Pki, tmp_path: Path) -> None:
    place = Place(tmp_path, None, upstreams=[told(ca=pki.ca)])
    await place.start()
    try:
        theirs, ours = tcp_pair()
        accepted = place.to_upstream(ENGINES[0], ours, text(told(ca=pki.ca)))
        assert await received(theirs)
        place.kill_worker()
        await until(lambda: accepted.decided)
        assert accepted.failure == "crypto worker died in the middle of the handshake"
        theirs.close()
        place.settle()
    finally:
        await place.stop()
