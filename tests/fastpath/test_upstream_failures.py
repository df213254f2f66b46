"""Connections to upstreams that come to nothing: what the front end is told, and that it ends."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest

from tests.fastpath.harness import ENGINES, PATIENCE, Accepted, Place, tcp_pair, until
from tests.fastpath.serving import Served, connected, server_context
from tests.fastpath.test_upstreams import module_place, pki, place
from tests.fastpath.worker.servers import Pki, text, told
from tests.processes import halt

__all__ = ["module_place", "pki", "place"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])


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
        halt(place.pid)
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
