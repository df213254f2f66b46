"""A man in the middle of a handshake, who wants an older version, compression, or bytes of his own
in the stream. OpenSSL keeps him from it; these tests show that an update has not lost that."""

from __future__ import annotations

from pathlib import Path

import pytest
from OpenSSL import SSL

from kssl.fastpath.worker.handshake import Failure, Flight
from kssl.fastpath.worker.server_handshake import ServerHandshake
from kssl.fastpath.worker.store import ContextStore
from tests.fastpath.record.peers import split_records
from tests.fastpath.tls.test_clienthello import real_hello
from tests.fastpath.worker.servers import Pki, PythonServer, shake, told
from tests.fastpath.worker.test_handshake_alerts import Peer
from tests.fastpath.worker.visits import told_file, write_certificate

_SEND_FALLBACK_SCSV = 0x80  # SSL_MODE_SEND_FALLBACK_SCSV of OpenSSL
_RANDOM = slice(5 + 4 + 2, 5 + 4 + 2 + 32)  # of a record with a ServerHello

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ContextStore:
    folder = tmp_path_factory.mktemp("tampering")
    file = write_certificate(folder / "zero.pem", "zero")
    store = ContextStore(folder / "state")
    store.load({"certificates": [told_file(file)], "endpoints": [{"names": {}, "default": 0}]})
    return store


def server_hello(store: ContextStore, client_hello: bytes) -> bytes:
    """Return the record with which the server answers."""
    step = ServerHandshake(*store.accept(0)).receive(client_hello)
    assert isinstance(step, Flight), step
    return split_records(step.data)[0]


# -- clients ---------------------------------------------------------------------------------


def test_a_client_that_was_talked_down_to_tls12_is_refused(store: ContextStore) -> None:
    """TLS_FALLBACK_SCSV (RFC 7507 §3): it tries again, with less, after somebody broke TLS 1.3."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_mode(_SEND_FALLBACK_SCSV)
    peer = Peer(store, context=context)
    assert peer.refused(peer.write())[1] == "tlsv1 alert inappropriate fallback"


def test_a_server_that_was_talked_down_to_tls12_says_so(store: ContextStore) -> None:
    """In its random, which is signed (RFC 9846 §4.2.3)."""
    down = server_hello(store, real_hello(b"zero.example", SSL.TLS1_2_VERSION))
    assert down[_RANDOM].endswith(b"DOWNGRD\x01")
    assert b"DOWNGRD" not in server_hello(store, real_hello(b"zero.example"))


def test_compression_is_not_taken(store: ContextStore) -> None:
    """DEFLATE in front of null (RFC 3749): whoever compresses secrets tells their length."""
    hello = real_hello(b"zero.example", SSL.TLS1_2_VERSION)
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at]  # session id
    at += 2 + int.from_bytes(hello[at : at + 2], "big")  # suites
    assert hello[at : at + 2] == b"\1\0"
    body = hello[9:at] + b"\2\1\0" + hello[at + 2 :]
    message = b"\1" + len(body).to_bytes(3, "big") + body
    answer = server_hello(store, hello[:3] + len(message).to_bytes(2, "big") + message)
    at = _RANDOM.stop
    at += 1 + answer[at] + 2  # session id and suite
    assert answer[at] == 0


# -- upstreams -------------------------------------------------------------------------------

INJECTED = {
    "data": b"\x17\x03\x03\0\x05hello",
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "an empty record": b"\x17\x03\x03\0\0",
}


@every_version
@pytest.mark.parametrize("what", INJECTED)
@pytest.mark.parametrize("behind", [0, 1])
def test_nothing_is_read_inside_an_upstreams_handshake(
    tmp_path: Path, tls13: bool, what: str, behind: int
) -> None:
    """In front of the ServerHello, and behind it: the handshake fails, whatever would follow."""

    class Injecting(PythonServer):
        def answer(self, data: bytes) -> bytes:
            records = split_records(super().answer(data))
            return b"".join((*records[:behind], INJECTED[what], *records[behind:]))

    pki = Pki(tmp_path)
    step = shake(told(ca=pki.ca), Injecting(pki.ecdsa, tls13=tls13)).step
    assert isinstance(step, Failure)
    assert step.reason


@every_version
@pytest.mark.parametrize("what", INJECTED)
def test_what_is_injected_behind_the_handshake_is_no_answer(
    tmp_path: Path, tls13: bool, what: str
) -> None:
    """It is opened by the record layer, which refuses it."""

    class Injecting(PythonServer):
        def answer(self, data: bytes) -> bytes:
            last = super().answer(data)
            return last + INJECTED[what] if tls13 or self.done else last

    pki = Pki(tmp_path)
    result = shake(told(ca=pki.ca), Injecting(pki.ecdsa, tls13=tls13))
    layer = result.layer()
    assert layer.feed(result.established.leftover) == b""
    assert layer.error is not None
