"""Bodies of a megabyte of clients that have a certificate, and of such that are refused."""

from __future__ import annotations

import hashlib
import socket
import threading

import pytest

from kssl.proxy.demo.stream import pieces
from tests.proxy.frontend.certificates.served import AskingRig, every_site, fields_of, post
from tests.proxy.frontend.certificates.table import FLAGS, VERSIONS
from tests.proxy.frontend.certificates.wallet import Wallet
from tests.proxy.frontend.upstreams import Upstream

BODY = b"".join(pieces(2**20))
every_version = pytest.mark.parametrize("version", VERSIONS)


@every_version
@pytest.mark.parametrize("flags", FLAGS)
def test_a_megabyte_arrives(
    asking: AskingRig, wallet: Wallet, telling: Upstream, flags: str, version: str
) -> None:
    """More than once on one connection: the certificate is asked for before the first, not then."""
    asking.serve(*every_site(telling.port, wallet))
    host, digest = f"{flags}-page.localhost", hashlib.sha256(BODY).hexdigest().encode()
    with asking.visitor(host, version, wallet.cards["good"]) as client:
        for _ in range(3):
            client.send(post(host, BODY))
            answer = client.read_answer()
            assert (answer.status, answer.get(b"x-sha256")) == (200, digest)
            verdict = fields_of(answer).get("x-client-cert-verdict")
            assert verdict == (None if flags == "ignore" else "ok")


@every_version
@pytest.mark.parametrize("presents", ["none", "other CA"])
def test_a_refused_client_that_sends_a_megabyte_reads_the_page(
    asking: AskingRig, wallet: Wallet, telling: Upstream, presents: str, version: str
) -> None:
    """It gets the page and a clean end, though most of its body is never taken."""
    asking.serve(*every_site(telling.port, wallet))
    host = "require-page.localhost"
    page = b"<title>403.7 " if presents == "none" else b"<title>403.16 "
    with asking.visitor(host, version, wallet.cards.get(presents)) as client:
        records = client.records(post(host, BODY))
        sender = threading.Thread(target=_send, args=(client.sock, records))
        sender.start()
        answer = client.read_answer()
        assert answer.status == 403
        assert page in answer.body
        assert client.read_to_end() == (b"", "close_notify")
        sender.join()
    assert telling.accepted == 0


def _send(sock: socket.socket, data: bytes) -> None:
    sock.sendall(data)
