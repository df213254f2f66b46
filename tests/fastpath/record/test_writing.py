"""Sealing: fragments, KeyUpdate, the limit of a key, alerts."""

from __future__ import annotations

import pytest

from kssl.fastpath.record import RecordLayer
from kssl.fastpath.record.wire import MAX_OWN_KEY_UPDATES
from kssl.fastpath.tls.errors import Alert, ApiMisused, KeyLimitReached
from kssl.fastpath.tls.keys import ConnectionKeys
from kssl.fastpath.tls.suites import BY_OPENSSL_NAME, CipherSuite
from tests.fastpath.record.peers import (
    ALERT,
    ALL_SUITES,
    HANDSHAKE,
    TLS12,
    TLS13,
    Forger,
    client_layer,
    said_by,
    server_layer,
    split_records,
)

CHACHA12 = BY_OPENSSL_NAME["ECDHE-RSA-CHACHA20-POLY1305"]
suites = pytest.mark.parametrize("suite", ALL_SUITES, ids=lambda suite: suite.openssl_name)
versions = pytest.mark.parametrize("suite", [TLS13, TLS12], ids=["1.3", "1.2"])


def limited(suite: CipherSuite, limit: int) -> RecordLayer:
    layer = server_layer(suite)
    layer._sealer.record_limit = limit
    return layer


@suites
@pytest.mark.parametrize("length", [1, 300, 2**14 - 1, 2**14, 2**14 + 1, 100_000])
def test_what_is_sealed_opens(suite: CipherSuite, length: int) -> None:
    server, client = server_layer(suite), client_layer(suite)
    data = bytes(index % 251 for index in range(length))
    sealed = server.seal_bytes(data)
    assert client.feed(sealed) == data
    assert server.records_sealed == client.records_opened == len(split_records(sealed))
    assert server.records_sealed == -(-length // 2**14)


@pytest.mark.parametrize("suite", [TLS13, CHACHA12], ids=["1.3", "1.2"])
def test_the_forger_and_the_sealer_agree(suite: CipherSuite) -> None:
    assert client_layer(suite).seal_bytes(b"hello") == Forger(suite).data(b"hello")


@suites
def test_the_input_is_left_as_it_was(suite: CipherSuite) -> None:
    server = server_layer(suite)
    data = bytearray(b"a" * 40_000 + b"behind")
    out = memoryview(bytearray(server.sealed_size(40_000)))
    server.seal(memoryview(data), 40_000, out)
    assert data == b"a" * 40_000 + b"behind"


@suites
def test_length_0_seals_nothing(suite: CipherSuite) -> None:
    server = server_layer(suite)
    assert server.seal_bytes(b"") == b""
    assert server.records_sealed == 0


def test_seal_wants_a_byte_to_spare() -> None:
    server = server_layer()
    with pytest.raises(ApiMisused):
        server.seal(memoryview(bytearray(5)), 5, memoryview(bytearray(100)))


def test_seal_wants_room() -> None:
    server = server_layer()
    short = memoryview(bytearray(server.sealed_size(5) - 1))
    with pytest.raises(ApiMisused):
        server.seal(memoryview(bytearray(6)), 5, short)


def test_a_failing_call_restores_the_input_and_burns_the_nonce(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = server_layer()
    data = memoryview(bytearray(b"hello!"))

    def fail(*_: object) -> int:
        raise MemoryError

    monkeypatch.setattr(server._sealer, "_encrypt", fail)
    with pytest.raises(MemoryError):
        server.seal(data, 5, memoryview(bytearray(100)))
    assert bytes(data) == b"hello!"
    assert server.records_sealed == 1


def test_explicit_nonces_count_up_and_wrap() -> None:
    server = server_layer(TLS12)
    records = [server.seal_bytes(b"x") for _ in range(3)]
    nonces = [int.from_bytes(record[5:13], "big") for record in records]
    assert nonces == [2**64 - 2, 2**64 - 1, 0]


# The limit of a key


@pytest.mark.parametrize("limit", [2, 3, 7])
def test_a_spent_key_is_replaced_on_the_way(limit: int) -> None:
    server, client = limited(TLS13, limit), client_layer()
    data = bytes(10 * 2**14 + 5)
    sealed = server.seal_bytes(data)
    assert client.feed(sealed) == data
    records = [len(record) for record in split_records(sealed)]
    assert records.index(27) == limit - 1
    assert not server.outgoing


@pytest.mark.parametrize("limit", [2, 3, 7])
def test_no_key_seals_more_than_the_limit(limit: int) -> None:
    server, client = limited(TLS13, limit), client_layer()
    for _ in range(50):
        sealed = server.seal_bytes(b"x")
        assert server._sealer.keys.sequence <= limit - 1
        assert client.feed(sealed) == b"x"


def test_protocol_records_replace_a_spent_key_too() -> None:
    server, client = limited(TLS13, 2), client_layer()
    client.feed(server.seal_bytes(b"x"))
    server.send_close_notify()
    client.feed(bytes(server.outgoing))
    assert client.peer_closed
    assert client.error is None


@pytest.mark.parametrize("suite", [TLS12, CHACHA12], ids=lambda suite: suite.openssl_name)
def test_tls12_ends_with_an_alert_when_its_key_is_spent(suite: CipherSuite) -> None:
    server, client = limited(suite, 5), client_layer(suite)
    sealed = server.seal_bytes(bytes(5 * 2**14))
    # Records 1 to 3 are data (the handshake had record 0), record 4 is the alert.
    assert client.feed(sealed) == bytes(3 * 2**14)
    assert client.error is not None
    assert client.error.alert is Alert.INTERNAL_ERROR
    assert isinstance(server.error, KeyLimitReached)
    assert server.closed
    with pytest.raises(ApiMisused):
        server.seal_bytes(b"x")


def test_tls12_keeps_a_record_for_close_notify() -> None:
    server, client = limited(TLS12, 3), client_layer(TLS12)
    client.feed(server.seal_bytes(b"x"))
    server.send_close_notify()
    client.feed(bytes(server.outgoing))
    assert client.peer_closed


@suites
def test_the_limit_is_what_the_suite_says(suite: CipherSuite) -> None:
    assert server_layer(suite)._sealer.record_limit == suite.record_limit
    assert suite.record_limit == (2**64 - 1 if "CHACHA20" in suite.name else 23_726_566)


def test_after_2_48_updates_the_key_is_the_last() -> None:
    server = limited(TLS13, 2)
    server._sealer._updates = MAX_OWN_KEY_UPDATES
    server.seal_bytes(b"xy")
    server.seal_bytes(b"x")
    assert isinstance(server.error, KeyLimitReached)


# Protocol messages


def test_our_key_update() -> None:
    server, client = server_layer(), client_layer()
    client.feed(server.seal_bytes(b"old"))
    server.update_keys()
    assert client.feed(bytes(server.outgoing) + server.seal_bytes(b"new")) == b"new"
    assert not client.outgoing


def test_a_second_request_waits_for_the_first_answer() -> None:
    server, client = server_layer(), client_layer()
    server.update_keys(request_peer=True)
    server.update_keys(request_peer=True)
    client.feed(bytes(server.outgoing))
    assert len(client.outgoing) == 27
    server.feed(bytes(client.outgoing))
    server.outgoing.clear()
    client.outgoing.clear()
    server.update_keys(request_peer=True)
    client.feed(bytes(server.outgoing))
    assert len(client.outgoing) == 27


def test_seal_handshake_takes_records_from_sequence_0() -> None:
    server = server_layer()
    server.seal_handshake(b"\x04\x00\x00\x01x")
    assert said_by(server) == [(HANDSHAKE, b"\x04\x00\x00\x01x")]
    assert server.keys.write.sequence == 1


def test_a_long_handshake_message_is_fragmented() -> None:
    server = server_layer()
    server.seal_handshake(bytes(40_000))
    assert [len(content) for _, content in said_by(server)] == [2**14, 2**14, 40_000 - 2**15]
    assert server.keys.write.sequence == 3


@versions
def test_close_notify_once(suite: CipherSuite) -> None:
    server = server_layer(suite)
    server.send_close_notify()
    server.send_close_notify()
    server.send_alert(Alert.INTERNAL_ERROR)
    assert said_by(server, suite) == [(ALERT, b"\x01\x00")]


@versions
def test_a_fatal_alert_ends_both_directions(suite: CipherSuite) -> None:
    server = server_layer(suite)
    server.send_alert(Alert.ACCESS_DENIED)
    server.send_alert(Alert.INTERNAL_ERROR)
    server.send_close_notify()
    assert said_by(server, suite) == [(ALERT, b"\x02\x31")]
    assert server.closed
    assert server.feed(Forger(suite).data(b"x")) == b""


def test_nothing_is_sealed_after_the_close() -> None:
    server = server_layer()
    server.send_close_notify()
    for call in (
        lambda: server.seal_bytes(b"x"),
        lambda: server.update_keys(),
        lambda: server.seal_handshake(b"x"),
    ):
        with pytest.raises(ApiMisused):
            call()


def test_tls12_has_no_post_handshake_messages() -> None:
    server = server_layer(TLS12)
    with pytest.raises(ApiMisused):
        server.update_keys()
    with pytest.raises(ApiMisused):
        server.seal_handshake(b"x")


@suites
def test_another_layer_goes_on_with_the_exported_keys(suite: CipherSuite) -> None:
    server, client = server_layer(suite), client_layer(suite)
    if suite.tls13:
        client.update_keys(request_peer=True)
    server.feed(bytes(client.outgoing) + client.seal_bytes(b"one"))
    client.feed(bytes(server.outgoing) + server.seal_bytes(b"one"))
    heir = RecordLayer(ConnectionKeys.unpack(server.keys.pack()))
    assert heir.feed(client.seal_bytes(b"two")) == b"two"
    assert client.feed(heir.seal_bytes(b"two")) == b"two"
