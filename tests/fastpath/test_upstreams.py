"""Connections to https:// upstreams: `Handshake`, worker and engine as clients of real servers."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from kssl.fastpath.engines.aead import AeadEngine
from kssl.fastpath.engines.contract import Engine
from tests.fastpath.harness import ENGINES, Accepted, Place, tcp_pair, until
from tests.fastpath.serving import Served, SServer, connected, read_exactly, server_context
from tests.fastpath.worker.servers import NAME, Pki, text, told

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
every_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)

LONG = bytes(range(256)) * 4096  # a MiB


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
        # We refuse by a warning and would go on; this server would not.
        await until(lambda: accepted.sink.failed)
        assert accepted.sink.failed == ["the peer sent the alert handshake_failure"]
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
