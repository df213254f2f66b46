"""TLS 1.2's renegotiation: refused by a warning, and what was in progress goes on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.record import RecordLayer
from kssl.fastpath.record.wire import MAX_CLIENT_HELLO_LENGTH
from kssl.fastpath.tls.errors import Alert
from kssl.fastpath.tls.keys import ConnectionKeys
from tests.fastpath.record.peers import (
    ALERT,
    HANDSHAKE,
    TLS12,
    Forger,
    example_keys,
    said_by,
    server_layer,
)

HELLO = b"\1\0\0\2\3\3"
REQUEST = b"\0\0\0\0"
REFUSED = (ALERT, b"\1\x64")


def upstream() -> tuple[RecordLayer, Forger]:
    """We are the client; the server forges."""
    client, server = example_keys(TLS12)
    layer = RecordLayer(ConnectionKeys(TLS12, read=server, write=client, client=True))
    return layer, Forger(TLS12, server)


def test_a_client_is_refused_and_goes_on() -> None:
    layer, client = server_layer(TLS12), Forger(TLS12)
    sent = client.data(b"before") + client.record(HANDSHAKE, HELLO) + client.data(b"after")
    assert layer.feed(sent) == b"beforeafter"
    assert layer.error is None
    assert not layer.closed
    assert said_by(layer, TLS12) == [REFUSED]


def test_a_server_is_refused_and_goes_on() -> None:
    layer, server = upstream()
    sent = server.data(b"before") + server.record(HANDSHAKE, REQUEST) + server.data(b"after")
    assert layer.feed(sent) == b"beforeafter"
    assert layer.error is None
    assert len(layer.outgoing) == 5 + 8 + 2 + 16  # one alert
    other = server_layer(TLS12)
    assert other.feed(bytes(layer.outgoing)) == b""
    assert other.error is None  # a warning


@given(sizes=st.lists(st.integers(1, 3000), max_size=30))
def test_a_hello_in_any_pieces(sizes: list[int]) -> None:
    layer, client = server_layer(TLS12), Forger(TLS12)
    message = b"\1" + (5000).to_bytes(3, "big") + bytes(5000)
    for size in (*sizes, len(message)):
        if message:
            assert not layer.outgoing
            layer.feed(client.record(HANDSHAKE, message[:size]))
        message = message[size:]
    assert said_by(layer, TLS12) == [REFUSED]
    assert layer.feed(client.data(b"after")) == b"after"


def test_the_longest_hello() -> None:
    layer, client = server_layer(TLS12), Forger(TLS12)
    message = b"\1" + MAX_CLIENT_HELLO_LENGTH.to_bytes(3, "big") + bytes(MAX_CLIENT_HELLO_LENGTH)
    for start in range(0, len(message), 1 << 14):
        layer.feed(client.record(HANDSHAKE, message[start : start + (1 << 14)]))
    assert said_by(layer, TLS12) == [REFUSED]


def test_several_in_a_record() -> None:
    layer, client = server_layer(TLS12), Forger(TLS12)
    layer.feed(client.record(HANDSHAKE, HELLO * 3))
    assert said_by(layer, TLS12) == [REFUSED] * 3


@pytest.mark.parametrize("together", [True, False])
def test_their_number_is_limited(together: bool) -> None:
    """Also with data in between."""
    layer, client = server_layer(TLS12), Forger(TLS12)
    layer.feed(client.record(HANDSHAKE, HELLO * 4))
    assert layer.error is None
    layer.feed(client.data(b"x"))
    layer.feed(client.record(HANDSHAKE, HELLO * (5 if together else 1)))
    assert said_by(layer, TLS12)[4:] == [(ALERT, b"\2\x0a")]
    assert ended_by(layer) is Alert.UNEXPECTED_MESSAGE


def ended_by(layer: RecordLayer) -> Alert | None:
    return layer.error.alert if layer.error is not None else None


def test_nothing_is_said_after_close_notify() -> None:
    layer, client = server_layer(TLS12), Forger(TLS12)
    layer.send_close_notify()
    said = bytes(layer.outgoing)
    assert layer.feed(client.record(HANDSHAKE, HELLO) + client.data(b"after")) == b"after"
    assert layer.outgoing == said


def test_a_hello_that_asks_for_nothing_of_ours_ends() -> None:
    """A server never sends a ClientHello, and a client no HelloRequest."""
    layer, server = upstream()
    layer.feed(server.record(HANDSHAKE, HELLO))
    assert ended_by(layer) is Alert.UNEXPECTED_MESSAGE
