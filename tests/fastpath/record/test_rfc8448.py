"""The record layer against the published trace of RFC 8448 §3."""

from __future__ import annotations

import pytest

from kssl.fastpath.record import RecordLayer
from kssl.fastpath.record.opener import make_opener
from kssl.fastpath.tls.keys import ConnectionKeys
from kssl.fastpath.tls.keyschedule import traffic_keys
from tests.fastpath import rfc8448
from tests.fastpath.record.peers import HANDSHAKE, TLS13


@pytest.fixture
def server() -> RecordLayer:
    read = traffic_keys(TLS13, rfc8448.CLIENT_SECRET)
    write = traffic_keys(TLS13, rfc8448.SERVER_SECRET)
    return RecordLayer(ConnectionKeys(TLS13, read, write))


@pytest.fixture
def ticket() -> bytes:
    """The NewSessionTicket message, opened with the server's own key."""
    opener = make_opener(TLS13, traffic_keys(TLS13, rfc8448.SERVER_SECRET))
    record = rfc8448.NEW_SESSION_TICKET_RECORD
    content_type = opener.open_records(memoryview(record), memoryview(bytearray(len(record))))
    assert content_type == HANDSHAKE
    return opener.content


def test_the_ticket_is_a_whole_message(ticket: bytes) -> None:
    assert ticket[0] == 4
    assert int.from_bytes(ticket[1:4], "big") == len(ticket) - 4 == 201


def test_what_the_server_writes(server: RecordLayer, ticket: bytes) -> None:
    server.seal_handshake(ticket)
    assert server.outgoing == rfc8448.NEW_SESSION_TICKET_RECORD
    server.outgoing.clear()
    assert server.seal_bytes(rfc8448.PAYLOAD) == rfc8448.SERVER_DATA_RECORD
    server.send_close_notify()
    assert server.outgoing == rfc8448.SERVER_CLOSE_NOTIFY_RECORD


CLIENT_STREAM = rfc8448.CLIENT_DATA_RECORD + rfc8448.CLIENT_CLOSE_NOTIFY_RECORD


@pytest.mark.parametrize("piece", [1, 7, len(CLIENT_STREAM)])
@pytest.mark.parametrize("trailing", [b"", b"trailing bytes"])
def test_what_the_server_reads(server: RecordLayer, piece: int, trailing: bytes) -> None:
    stream = CLIENT_STREAM + trailing
    pieces = [stream[start : start + piece] for start in range(0, len(stream), piece)]
    assert b"".join(map(server.feed, pieces)) == rfc8448.PAYLOAD
    assert server.peer_closed
    assert server.error is None
