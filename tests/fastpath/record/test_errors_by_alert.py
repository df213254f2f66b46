"""What a peer may do wrong, and the alert that answers it: one row per rule."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kssl.fastpath.tls.errors import Alert, PeerIncompatible, PeerMisbehaved
from kssl.fastpath.tls.suites import CipherSuite
from tests.fastpath.record.peers import (
    ALERT,
    CHANGE_CIPHER_SPEC,
    DATA,
    HANDSHAKE,
    KEY_UPDATE,
    KEY_UPDATE_REQUEST,
    TLS12,
    TLS13,
    Forger,
    said_by,
    server_layer,
)

Act = Callable[[Forger], bytes]

BOTH: dict[str, tuple[Act, Alert]] = {
    "flipped bit": (
        lambda f: (record := f.data(b"hello"))[:-1] + bytes((record[-1] ^ 1,)),
        Alert.BAD_RECORD_MAC,
    ),
    "record twice": (lambda f: f.data(b"hello") * 2, Alert.BAD_RECORD_MAC),
    "shorter than its tag": (lambda f: b"\x17\x03\x03\x00\x0f" + bytes(15), Alert.BAD_RECORD_MAC),
    "empty body": (lambda f: b"\x17\x03\x03\x00\x00", Alert.BAD_RECORD_MAC),
    "over the limit, header alone": (lambda f: b"\x17\x03\x03\x48\x01", Alert.RECORD_OVERFLOW),
    "content of 2^14 + 1": (lambda f: f.data(bytes(2**14 + 1)), Alert.RECORD_OVERFLOW),
    "alert of 1 byte": (lambda f: f.record(ALERT, b"\x01"), Alert.DECODE_ERROR),
    "alert of 3 bytes": (lambda f: f.record(ALERT, b"\x01\x00\x00"), Alert.DECODE_ERROR),
    "two alerts in a record": (lambda f: f.record(ALERT, b"\x01\x5a" * 2), Alert.DECODE_ERROR),
    "empty alert": (lambda f: f.record(ALERT, b""), Alert.UNEXPECTED_MESSAGE),
    "empty handshake": (lambda f: f.record(HANDSHAKE, b""), Alert.UNEXPECTED_MESSAGE),
    "ChangeCipherSpec": (lambda f: b"\x14\x03\x03\x00\x01\x01", Alert.UNEXPECTED_MESSAGE),
    "sealed ChangeCipherSpec": (
        lambda f: f.record(CHANGE_CIPHER_SPEC, b"\x01"),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "unknown content type": (lambda f: f.record(24, b"heartbeat"), Alert.UNEXPECTED_MESSAGE),
    "plain HTTP": (lambda f: b"GET / HTTP/1.1\r\n\r\n", Alert.UNEXPECTED_MESSAGE),
    "33 empty records": (
        lambda f: b"".join(f.data(b"") for _ in range(33)),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "Finished": (
        lambda f: f.record(HANDSHAKE, b"\x14\x00\x00\x20" + bytes(32)),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "5 ignorable alerts": (
        lambda f: b"".join(f.record(ALERT, b"\x01\x5a") for _ in range(5)),
        Alert.UNEXPECTED_MESSAGE,
    ),
}

IN_TLS13: dict[str, tuple[Act, Alert]] = {
    "16,402 bytes, header alone": (lambda f: b"\x17\x03\x03\x40\x12", Alert.RECORD_OVERFLOW),
    "padding over 2^14 + 1": (
        lambda f: f.record(DATA, b"x", padding=2**14),
        Alert.RECORD_OVERFLOW,
    ),
    "padding alone": (lambda f: f.inner(bytes(10)), Alert.UNEXPECTED_MESSAGE),
    "no inner plaintext": (lambda f: f.inner(b""), Alert.UNEXPECTED_MESSAGE),
    "empty handshake, padded": (
        lambda f: f.record(HANDSHAKE, b"", padding=9),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "inner type 0 hidden in data": (lambda f: f.inner(b"\x18\x00"), Alert.UNEXPECTED_MESSAGE),
    "plaintext alert": (lambda f: b"\x15\x03\x03\x00\x02\x01\x00", Alert.UNEXPECTED_MESSAGE),
    "plaintext handshake": (
        lambda f: b"\x16\x03\x03\x00\x05" + KEY_UPDATE,
        Alert.UNEXPECTED_MESSAGE,
    ),
    "KeyUpdate of no bytes": (
        lambda f: f.record(HANDSHAKE, b"\x18\x00\x00\x00"),
        Alert.DECODE_ERROR,
    ),
    "KeyUpdate of 2 bytes": (
        lambda f: f.record(HANDSHAKE, b"\x18\x00\x00\x02\x00\x00"),
        Alert.DECODE_ERROR,
    ),
    "KeyUpdate that claims 2^24 - 1 bytes": (
        lambda f: f.record(HANDSHAKE, b"\x18\xff"),
        Alert.DECODE_ERROR,
    ),
    "KeyUpdate request 2": (
        lambda f: f.record(HANDSHAKE, b"\x18\x00\x00\x01\x02"),
        Alert.ILLEGAL_PARAMETER,
    ),
    "KeyUpdate not last in its record": (
        lambda f: f.record(HANDSHAKE, KEY_UPDATE * 2),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "data inside a handshake message": (
        lambda f: f.record(HANDSHAKE, KEY_UPDATE[:2]) + f.data(b"x"),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "padded data inside a handshake message": (
        lambda f: f.record(HANDSHAKE, KEY_UPDATE[:2]) + f.record(DATA, b"x", padding=9),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "empty data inside a handshake message": (
        lambda f: f.record(HANDSHAKE, KEY_UPDATE[:2]) + f.data(b""),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "alert inside a handshake message": (
        lambda f: f.record(HANDSHAKE, KEY_UPDATE[:2]) + f.record(ALERT, b"\x01\x5a"),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "ClientHello": (lambda f: f.record(HANDSHAKE, b"\x01\x00\x02\x00"), Alert.UNEXPECTED_MESSAGE),
    "NewSessionTicket": (lambda f: f.record(HANDSHAKE, b"\x04"), Alert.UNEXPECTED_MESSAGE),
    "33 KeyUpdates without data": (
        lambda f: b"".join(f.key_update() for _ in range(33)),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "old key after KeyUpdate": (
        lambda f: f.record(HANDSHAKE, KEY_UPDATE) + f.data(b"x"),
        Alert.BAD_RECORD_MAC,
    ),
    "new key without KeyUpdate": (
        lambda f: f.next_key() or f.data(b"x"),  # type: ignore[func-returns-value]
        Alert.BAD_RECORD_MAC,
    ),
}

IN_TLS12: dict[str, tuple[Act, Alert]] = {
    "version 0x0301": (lambda f: b"\x17\x03\x01\x00\x30", Alert.PROTOCOL_VERSION),
    "HelloRequest": (lambda f: f.record(HANDSHAKE, bytes(4)), Alert.UNEXPECTED_MESSAGE),
    "a hello too long": (lambda f: f.record(HANDSHAKE, b"\1\2\1\x46"), Alert.DECODE_ERROR),
    "data inside a hello": (
        lambda f: f.record(HANDSHAKE, b"\1\0\0\2\3") + f.data(b"x"),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "alert inside a hello": (
        lambda f: f.record(HANDSHAKE, b"\1\0") + f.record(ALERT, b"\1\0"),
        Alert.UNEXPECTED_MESSAGE,
    ),
    "KeyUpdate": (lambda f: f.record(HANDSHAKE, KEY_UPDATE_REQUEST), Alert.UNEXPECTED_MESSAGE),
    "alert level 3": (lambda f: f.record(ALERT, b"\x03\x5a"), Alert.ILLEGAL_PARAMETER),
    "nonce without ciphertext": (
        lambda f: b"\x17\x03\x03\x00\x17" + bytes(23),
        Alert.BAD_RECORD_MAC,
    ),
    "data sealed as another type": (
        lambda f: b"\x15" + f.data(b"\x01\x00")[1:],
        Alert.BAD_RECORD_MAC,
    ),
}

ROWS = [
    pytest.param(suite, act, alert, id=f"{version}-{name}")
    for version, suite, tables in (
        ("1.3", TLS13, (BOTH, IN_TLS13)),
        ("1.2", TLS12, (BOTH, IN_TLS12)),
    )
    for table in tables
    for name, (act, alert) in table.items()
]


@pytest.mark.parametrize(("suite", "act", "alert"), ROWS)
def test_alert(suite: CipherSuite, act: Act, alert: Alert) -> None:
    server, forger = server_layer(suite), Forger(suite)
    stream = forger.data(b"before") + act(forger)
    read = server.feed(stream)
    assert read in (b"before", b"beforehello")
    assert isinstance(server.error, PeerMisbehaved | PeerIncompatible)
    assert server.error.alert is alert
    assert said_by(server, suite)[0] == (ALERT, bytes((2, alert)))
    assert server.closed


@pytest.mark.parametrize(("suite", "act", "alert"), ROWS)
def test_alert_byte_by_byte(suite: CipherSuite, act: Act, alert: Alert) -> None:
    server, forger = server_layer(suite), Forger(suite)
    stream = forger.data(b"before") + act(forger) + forger.data(b"after")
    # The end, if overlong: receive() copies `pending` for each byte.
    read = b"".join(server.feed(stream[i : i + 1]) for i in range(min(len(stream), 3000)))
    assert read in (b"before", b"beforehello")
    assert server.error is not None
    assert server.error.alert is alert


@pytest.mark.parametrize(("suite", "act", "alert"), ROWS)
def test_nothing_is_read_after_an_error(suite: CipherSuite, act: Act, alert: Alert) -> None:
    server, forger = server_layer(suite), Forger(suite)
    server.feed(act(forger))
    error, said = server.error, bytes(server.outgoing)
    assert server.feed(forger.data(b"after")) == b""
    assert server.pending == b""
    assert server.error is error
    assert server.outgoing == said
