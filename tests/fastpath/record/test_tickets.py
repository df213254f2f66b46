"""NewSessionTickets: a client's record layer takes them and drops them, a server's refuses them."""

from __future__ import annotations

import pytest

from kssl.fastpath.record import RecordLayer
from kssl.fastpath.record.wire import MAX_TICKET_LENGTH, MAX_TICKETS, MIN_TICKET_LENGTH
from kssl.fastpath.tls.errors import Alert, PeerMisbehaved
from kssl.fastpath.tls.keys import ConnectionKeys
from kssl.fastpath.tls.suites import CipherSuite
from tests.fastpath.record.peers import (
    ALERT,
    HANDSHAKE,
    KEY_UPDATE,
    KEY_UPDATE_REQUEST,
    TLS12,
    TLS13,
    Forger,
    example_keys,
    server_layer,
)


def client_layer(suite: CipherSuite = TLS13) -> tuple[RecordLayer, Forger]:
    """A client of ours, and the server that it talks to."""
    client, server = example_keys(suite)
    layer = RecordLayer(ConnectionKeys(suite, read=server, write=client, client=True))
    return layer, Forger(suite, server)


def ticket(length: int = 200) -> bytes:
    return b"\x04" + length.to_bytes(3, "big") + b"t" * length


def test_one() -> None:
    layer, server = client_layer()
    stream = server.record(HANDSHAKE, ticket()) + server.data(b"reply")
    assert layer.feed(stream) == b"reply"
    assert layer.error is None
    assert not layer.outgoing


@pytest.mark.parametrize("size", [1, 3, 4, 5, 100, 204, 205, 16384])
def test_in_records_of_any_size(size: int) -> None:
    layer, server = client_layer()
    messages = ticket() + ticket(MIN_TICKET_LENGTH) + ticket(300)
    stream = b"".join(
        server.record(HANDSHAKE, messages[start : start + size])
        for start in range(0, len(messages), size)
    )
    assert layer.feed(stream + server.data(b"reply")) == b"reply"
    assert layer.error is None


def test_byte_by_byte() -> None:
    layer, server = client_layer()
    stream = server.record(HANDSHAKE, ticket() * 2) + server.data(b"reply")
    assert b"".join(layer.feed(stream[at : at + 1]) for at in range(len(stream))) == b"reply"


def test_the_longest_is_not_kept() -> None:
    layer, server = client_layer()
    message = ticket(MAX_TICKET_LENGTH)
    for start in range(0, len(message), 16384):
        assert layer.feed(server.record(HANDSHAKE, message[start : start + 16384])) == b""
        assert len(layer._post_handshake._partial) < 4
    assert layer.feed(server.data(b"reply")) == b"reply"


@pytest.mark.parametrize("update", [KEY_UPDATE, KEY_UPDATE_REQUEST])
@pytest.mark.parametrize("cut", [0, 2])
def test_a_key_update_behind_it(update: bytes, cut: int) -> None:
    """In the same record, or half of it there."""
    layer, server = client_layer()
    stream = server.record(HANDSHAKE, ticket() + update[: cut or 5])
    if cut:
        stream += server.record(HANDSHAKE, update[cut:])
    server.next_key()
    stream += server.record(HANDSHAKE, ticket()) + server.data(b"new key")
    assert layer.feed(stream) == b"new key"
    assert bool(layer.outgoing) == (update == KEY_UPDATE_REQUEST)


def test_a_ticket_behind_a_key_update() -> None:
    layer, server = client_layer()
    layer.feed(server.record(HANDSHAKE, KEY_UPDATE + ticket()))
    assert layer.error is not None
    assert layer.error.alert is Alert.UNEXPECTED_MESSAGE


def test_as_many_as_are_allowed_and_again_after_data() -> None:
    layer, server = client_layer()
    for _ in range(3):
        stream = server.record(HANDSHAKE, ticket() * (MAX_TICKETS - 1))
        stream += server.record(HANDSHAKE, ticket()) + server.data(b"x")
        assert layer.feed(stream) == b"x"
    assert layer.error is None


@pytest.mark.parametrize("at_once", [True, False], ids=["one record", "many records"])
def test_too_many(at_once: bool) -> None:
    layer, server = client_layer()
    if at_once:
        layer.feed(server.record(HANDSHAKE, ticket(14) * (MAX_TICKETS + 1)))
    else:
        for _ in range(MAX_TICKETS + 1):
            assert layer.error is None
            layer.feed(server.record(HANDSHAKE, ticket()))
    assert isinstance(layer.error, PeerMisbehaved)
    assert str(layer.error) == "too many session tickets"
    assert layer.error.alert is Alert.UNEXPECTED_MESSAGE


@pytest.mark.parametrize(
    ("header", "alert"),
    [
        (ticket(MIN_TICKET_LENGTH - 1), Alert.DECODE_ERROR),
        (ticket(0), Alert.DECODE_ERROR),
        (ticket(MAX_TICKET_LENGTH + 1)[:4], Alert.DECODE_ERROR),
        (b"\x04\xff\xff\xff", Alert.DECODE_ERROR),
        (b"\x00\x00\x00\x00", Alert.UNEXPECTED_MESSAGE),  # HelloRequest
        (b"\x0d\x00\x00\x03", Alert.UNEXPECTED_MESSAGE),  # CertificateRequest: never offered
        (b"\x08\x00\x00\x02\x00\x00", Alert.UNEXPECTED_MESSAGE),  # EncryptedExtensions
        (b"\x18\x00\x00\x02", Alert.DECODE_ERROR),
    ],
)
@pytest.mark.parametrize("before", [b"", ticket()], ids=["alone", "behind a ticket"])
def test_what_is_none(header: bytes, alert: Alert, before: bytes) -> None:
    layer, server = client_layer()
    layer.feed(server.record(HANDSHAKE, before + header))
    assert layer.error is not None
    assert layer.error.alert is alert


@pytest.mark.parametrize("cut", [1, 3, 4, 50])
@pytest.mark.parametrize("kind", ["data", "alert"])
def test_nothing_else_inside_one(cut: int, kind: str) -> None:
    layer, server = client_layer()
    stream = server.record(HANDSHAKE, ticket()[:cut])
    stream += server.data(b"x") if kind == "data" else server.record(ALERT, b"\x01\x5a")
    assert layer.feed(stream) == b""
    assert layer.error is not None
    assert layer.error.alert is Alert.UNEXPECTED_MESSAGE


def test_after_the_keys_have_moved() -> None:
    """The record layer of the other process goes on as a client."""
    layer, server = client_layer()
    moved = RecordLayer(ConnectionKeys.unpack(layer.keys.pack()))
    assert moved.feed(server.record(HANDSHAKE, ticket()) + server.data(b"reply")) == b"reply"


def test_a_server_refuses_them() -> None:
    layer, client = server_layer(), Forger(TLS13)
    layer.feed(client.record(HANDSHAKE, ticket()))
    assert str(layer.error) == "handshake message 4 after the handshake"


def test_tls12() -> None:
    layer, server = client_layer(TLS12)
    layer.feed(server.record(HANDSHAKE, ticket()))
    assert layer.error is not None
    assert layer.error.alert is Alert.UNEXPECTED_MESSAGE
