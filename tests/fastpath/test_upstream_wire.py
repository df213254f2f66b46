"""What an upstream that is not believed gets to see, byte for byte: an alert, and nothing else."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator

import pytest

from kssl.fastpath.engines.contract import Engine
from tests.fastpath.harness import ENGINES, PATIENCE, Place, tcp_pair, until
from tests.fastpath.serving import server_context
from tests.fastpath.test_upstreams import module_place, pki, place
from tests.fastpath.worker.servers import Pki, text, told

__all__ = ["module_place", "pki", "place"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
every_engine = pytest.mark.parametrize("engine", ENGINES, ids=lambda engine: engine.name)

ALERT = 21  # ContentType


def records(wire: bytes) -> Iterator[tuple[int, int]]:
    """Content type and length of each."""
    while wire:
        end = 5 + int.from_bytes(wire[3:5], "big")
        assert len(wire) >= end, "half a record"
        yield wire[0], end - 5
        wire = wire[end:]


async def behind_the_certificate(sock: socket.socket, context: ssl.SSLContext) -> bytes:
    """Plays the server up to its Finished; what the client sends from then on, until FIN."""
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    while not outgoing.pending:
        incoming.write(await asyncio.wait_for(loop.sock_recv(sock, 65536), PATIENCE))
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
    await loop.sock_sendall(sock, outgoing.read())
    wire = b""
    while part := await asyncio.wait_for(loop.sock_recv(sock, 65536), PATIENCE):
        wire += part
    return wire


@every_engine
@every_version
async def test_a_wrong_name(engine: type[Engine], tls13: bool, place: Place, pki: Pki) -> None:
    """Nor does it learn who we are: no certificate of ours, no Finished, no request."""
    theirs, ours = tcp_pair()
    context = server_context(pki, tls13=tls13, client_ca=pki.ca)
    accepted = place.to_upstream(engine, ours, text(told("b.example", ca=pki.ca)))
    wire = await behind_the_certificate(theirs, context)
    await until(lambda: accepted.decided, "the failure")
    assert accepted.failure == "its certificate is for a.example, not for b.example"
    assert list(records(wire)) == [(ALERT, 2)]
    theirs.close()
    await accepted.gone()
