"""What a peer may do right: data, padding, alerts, KeyUpdate."""

from __future__ import annotations

import pytest

from kssl.fastpath.record import RecordLayer
from kssl.fastpath.tls.errors import Alert, ApiMisused, PeerAlert
from kssl.fastpath.tls.keys import MAX_SEQUENCE, ConnectionKeys
from kssl.fastpath.tls.keyschedule import traffic_keys
from kssl.fastpath.tls.suites import CipherSuite
from tests.fastpath.record.peers import (
    ALERT,
    ALL_SUITES,
    CLOSE_NOTIFY,
    DATA,
    HANDSHAKE,
    KEY_UPDATE,
    KEY_UPDATE_REQUEST,
    TLS12,
    TLS13,
    Forger,
    client_layer,
    example_keys,
    said_by,
    server_layer,
)

suites = pytest.mark.parametrize("suite", ALL_SUITES, ids=lambda suite: suite.openssl_name)
versions = pytest.mark.parametrize("suite", [TLS13, TLS12], ids=["1.3", "1.2"])


@suites
def test_records_of_one_batch_are_joined(suite: CipherSuite) -> None:
    server, forger = server_layer(suite), Forger(suite)
    assert server.feed(forger.data(b"one ") + forger.data(b"two ") + forger.data(b"three")) == (
        b"one two three"
    )
    assert server.records_opened == 3


@suites
def test_full_record(suite: CipherSuite) -> None:
    assert server_layer(suite).feed(Forger(suite).data(b"x" * 2**14)) == b"x" * 2**14


@suites
def test_byte_by_byte(suite: CipherSuite) -> None:
    server, forger = server_layer(suite), Forger(suite)
    stream = forger.data(b"hello ") + forger.data(b"") + forger.data(b"world")
    assert b"".join(server.feed(bytes((byte,))) for byte in stream) == b"hello world"
    assert server.pending == b""


@suites
def test_the_incomplete_record_is_pending(suite: CipherSuite) -> None:
    server, forger = server_layer(suite), Forger(suite)
    second = forger.data(b"first"), forger.data(b"second")[:20]
    assert server.feed(b"".join(second)) == b"first"
    assert server.pending == second[1]
    assert server.error is None


def test_receive_opens_into_the_callers_buffer() -> None:
    server, stream = server_layer(), Forger().data(b"hello")
    out = memoryview(bytearray(len(stream)))
    assert server.receive(memoryview(stream), out) == 5
    assert bytes(out[:5]) == b"hello"


def test_receive_wants_room() -> None:
    with pytest.raises(ApiMisused):
        server_layer().receive(memoryview(bytes(100)), memoryview(bytearray(99)))


def test_padding_is_removed() -> None:
    server, forger = server_layer(), Forger()
    stream = forger.record(DATA, b"padded\0\0", padding=1000) + forger.data(b"!")
    assert server.feed(stream) == b"padded\0\0!"


def test_full_record_of_padding() -> None:
    server = server_layer()
    assert server.feed(Forger().record(DATA, b"x", padding=2**14 - 1)) == b"x"
    assert server.error is None


def test_the_legacy_version_is_ignored_in_tls13() -> None:
    assert server_layer().feed(Forger().inner(b"hello\x17", version=0x0301)) == b"hello"


@versions
def test_32_empty_records_are_fine_between_data(suite: CipherSuite) -> None:
    server, forger = server_layer(suite), Forger(suite)
    burst = [forger.data(b"") for _ in range(32)]
    stream = b"".join(burst) + forger.data(b"x") + b"".join(forger.data(b"") for _ in range(32))
    assert server.feed(stream) == b"x"
    assert server.error is None


@versions
def test_empty_records_are_counted_across_calls(suite: CipherSuite) -> None:
    server, forger = server_layer(suite), Forger(suite)
    for _ in range(33):
        server.feed(forger.data(b""))
    assert server.error is not None


# Alerts


@versions
def test_close_notify_ends_reading_without_an_error(suite: CipherSuite) -> None:
    server, forger = server_layer(suite), Forger(suite)
    stream = forger.data(b"last") + forger.record(ALERT, CLOSE_NOTIFY) + forger.data(b"ignored")
    assert server.feed(stream) == b"last"
    assert server.peer_closed
    assert server.error is None
    assert server.pending == b""
    assert server.feed(b"garbage after the end") == b""
    assert server.error is None
    assert not server.outgoing


@versions
def test_close_notify_leaves_our_side_open(suite: CipherSuite) -> None:
    server, client = server_layer(suite), client_layer(suite)
    client.send_close_notify()
    server.feed(bytes(client.outgoing))
    assert client.feed(server.seal_bytes(b"the rest of the reply")) == b"the rest of the reply"


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("code", [10, 20, 46, 80, 100, 250])
def test_in_tls13_each_alert_is_fatal_whatever_its_level(level: int, code: int) -> None:
    server = server_layer()
    server.feed(Forger().record(ALERT, bytes((level, code))))
    assert isinstance(server.error, PeerAlert)
    assert server.error.alert == code
    assert not server.outgoing
    assert server.closed


def test_a_fatal_alert_in_tls12_ends_all() -> None:
    server = server_layer(TLS12)
    server.feed(Forger(TLS12).record(ALERT, b"\x02\x2a"))
    assert isinstance(server.error, PeerAlert)
    assert str(server.error) == "the peer sent the alert bad_certificate"
    assert not server.outgoing
    with pytest.raises(ApiMisused):
        server.seal_bytes(b"x")


@versions
def test_4_ignorable_alerts_are_fine_between_data(suite: CipherSuite) -> None:
    server, forger = server_layer(suite), Forger(suite)
    for _ in range(3):
        for _ in range(4):
            server.feed(forger.record(ALERT, b"\x01\x5a"))
        assert server.feed(forger.data(b"x")) == b"x"
    assert server.error is None


def test_user_canceled_then_close_notify() -> None:
    server, forger = server_layer(), Forger()
    server.feed(forger.record(ALERT, b"\x01\x5a") + forger.record(ALERT, CLOSE_NOTIFY))
    assert server.peer_closed
    assert server.error is None


# KeyUpdate


def test_key_update_changes_the_read_key() -> None:
    server, forger = server_layer(), Forger()
    stream = forger.data(b"old ") + forger.key_update() + forger.data(b"new")
    assert server.feed(stream) == b"old new"
    assert not server.outgoing
    assert server.records_opened == 3


def test_key_update_in_fragments() -> None:
    server, forger = server_layer(), Forger()
    stream = b"".join(forger.record(HANDSHAKE, bytes((byte,))) for byte in KEY_UPDATE)
    forger.next_key()
    assert server.feed(stream + forger.data(b"new")) == b"new"


def test_key_update_in_padded_fragments() -> None:
    server, forger = server_layer(), Forger()
    stream = b"".join(forger.record(HANDSHAKE, bytes((byte,)), padding=9) for byte in KEY_UPDATE)
    forger.next_key()
    assert server.feed(stream + forger.data(b"new")) == b"new"


def test_key_update_request_is_answered_at_once() -> None:
    server, client = server_layer(), client_layer()
    client.update_keys(request_peer=True)
    server.feed(bytes(client.outgoing))
    assert said_by(server) == [(HANDSHAKE, KEY_UPDATE)]
    answer = bytes(server.outgoing)
    server.outgoing.clear()
    assert client.feed(answer + server.seal_bytes(b"new key")) == b"new key"


def test_requests_that_arrive_together_get_one_answer() -> None:
    server, forger = server_layer(), Forger()
    server.feed(b"".join(forger.key_update(KEY_UPDATE_REQUEST) for _ in range(32)))
    assert server.error is None
    assert said_by(server) == [(HANDSHAKE, KEY_UPDATE)]


def test_a_peer_that_asks_and_does_not_read_cannot_make_outgoing_grow() -> None:
    server, forger = server_layer(), Forger()
    for _ in range(100):
        server.feed(forger.key_update(KEY_UPDATE_REQUEST) + forger.data(b"x"))
    assert server.error is None
    assert len(server.outgoing) == 27


def test_each_request_after_the_answer_was_sent_gets_its_own() -> None:
    server, client = server_layer(), client_layer()
    for _ in range(3):
        client.update_keys(request_peer=True)
        server.feed(bytes(client.outgoing))
        client.outgoing.clear()
        client.feed(bytes(server.outgoing))
        server.outgoing.clear()
    assert client.feed(server.seal_bytes(b"fourth key")) == b"fourth key"
    assert server.feed(client.seal_bytes(b"fourth key")) == b"fourth key"


def test_no_answer_after_our_close_notify() -> None:
    server, forger = server_layer(), Forger()
    server.send_close_notify()
    said = bytes(server.outgoing)
    server.feed(forger.key_update(KEY_UPDATE_REQUEST))
    assert server.outgoing == said
    assert server.feed(forger.data(b"still read")) == b"still read"


def test_data_resets_the_count_of_key_updates() -> None:
    server, forger = server_layer(), Forger()
    for _ in range(3):
        for _ in range(32):
            server.feed(forger.key_update())
        assert server.feed(forger.data(b"x")) == b"x"
    assert server.error is None


# Sequence numbers


@versions
def test_the_read_sequence_number_cannot_wrap(suite: CipherSuite) -> None:
    client, server = example_keys(suite)
    end = type(client)(client.key, client.iv, MAX_SEQUENCE - 10, client.secret)
    layer = RecordLayer(ConnectionKeys(suite, end, server))
    layer.feed(Forger(suite, end).data(b"x"))
    assert layer.error is not None
    assert layer.error.alert is Alert.INTERNAL_ERROR


def test_the_aead_limit_is_the_senders_affair() -> None:
    """RFC 9846 §5.5: receiving implementations should not enforce it."""
    beyond = traffic_keys(TLS13, b"c" * 32, sequence=TLS13.record_limit + 1)
    layer = RecordLayer(ConnectionKeys(TLS13, beyond, beyond))
    assert layer.feed(Forger(TLS13, beyond).data(b"x")) == b"x"
