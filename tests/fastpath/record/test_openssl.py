"""OpenSSL as the peer, for each suite and both directions."""

from __future__ import annotations

import pytest
from OpenSSL import SSL

from kssl.fastpath.tls.suites import CipherSuite
from tests.fastpath.record.peers import ALL_SUITES, TLS13_SUITES, OpenSslPeer, connect_openssl

LONG = bytes(range(256)) * 300  # 76,800 bytes: five records


@pytest.fixture(params=ALL_SUITES, ids=lambda suite: suite.openssl_name)
def peer(request: pytest.FixtureRequest) -> OpenSslPeer:
    suite: CipherSuite = request.param
    return connect_openssl(suite)


@pytest.fixture(params=TLS13_SUITES, ids=lambda suite: suite.openssl_name)
def peer13(request: pytest.FixtureRequest) -> OpenSslPeer:
    suite: CipherSuite = request.param
    return connect_openssl(suite)


def test_both_directions(peer: OpenSslPeer) -> None:
    assert peer.send(b"request") == b"request"
    assert peer.read(peer.layer.seal_bytes(b"reply")) == b"reply"
    assert peer.send(LONG) == LONG
    assert peer.read(peer.layer.seal_bytes(LONG)) == LONG


def test_openssl_closes(peer: OpenSslPeer) -> None:
    peer.client.shutdown()
    peer.layer.feed(peer.flush())
    assert peer.layer.peer_closed
    assert peer.layer.error is None


def test_we_close(peer: OpenSslPeer) -> None:
    peer.layer.send_close_notify()
    peer.client.bio_write(bytes(peer.layer.outgoing))
    with pytest.raises(SSL.ZeroReturnError):
        peer.client.recv(1)


def test_openssl_understands_our_alert(peer: OpenSslPeer) -> None:
    peer.layer.feed(b"\x17\x03\x03\xff\xff")
    peer.client.bio_write(bytes(peer.layer.outgoing))
    with pytest.raises(SSL.Error, match="record overflow"):
        peer.client.recv(1)


def test_we_understand_openssls_alert(peer: OpenSslPeer) -> None:
    sealed = bytearray(peer.layer.seal_bytes(b"reply"))
    sealed[-1] ^= 1
    peer.client.bio_write(bytes(sealed))
    with pytest.raises(SSL.Error):
        peer.client.recv(1)
    peer.layer.feed(peer.flush())
    assert str(peer.layer.error) == "the peer sent the alert bad_record_mac"


def test_our_key_update(peer13: OpenSslPeer) -> None:
    peer13.layer.update_keys()
    records = bytes(peer13.layer.outgoing) + peer13.layer.seal_bytes(b"new key")
    assert peer13.read(records) == b"new key"


def test_openssl_answers_our_request(peer13: OpenSslPeer) -> None:
    layer = peer13.layer
    layer.update_keys(request_peer=True)
    assert peer13.read(bytes(layer.outgoing) + layer.seal_bytes(b"new key")) == b"new key"
    layer.outgoing.clear()
    read_key = layer.keys.read.key
    assert peer13.send(b"new key too") == b"new key too"
    assert layer.keys.read.key != read_key


def test_openssl_follows_through_spent_keys(peer13: OpenSslPeer) -> None:
    peer13.layer._sealer.record_limit = 4
    assert peer13.read(peer13.layer.seal_bytes(LONG)) == LONG


def test_renegotiation_is_refused_to_openssl() -> None:
    suite = next(suite for suite in ALL_SUITES if not suite.tls13)
    peer = connect_openssl(suite)
    if not peer.client.renegotiate():
        pytest.skip("this OpenSSL does not start a renegotiation")
    with pytest.raises(SSL.WantReadError):
        peer.client.do_handshake()
    peer.layer.feed(peer.flush())
    assert peer.layer.error is None
    peer.client.bio_write(bytes(peer.layer.outgoing))
    with pytest.raises(SSL.Error, match="no renegotiation"):  # what OpenSSL's client makes of it
        peer.client.do_handshake()
