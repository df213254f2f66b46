"""However many records come at once, `receive` opens a quantum of them, and loses none."""

from __future__ import annotations

import pytest

from kssl.fastpath.net.quantum import PROTOCOL_RECORD, RECORDS
from kssl.fastpath.record import RecordLayer
from kssl.fastpath.tls.keyschedule import next_traffic_secret, traffic_keys
from kssl.fastpath.tls.suites import CipherSuite
from tests.fastpath.record.peers import (
    ALERT,
    ALL_SUITES,
    CLOSE_NOTIFY,
    HANDSHAKE,
    KEY_UPDATE_REQUEST,
    TLS13,
    Forger,
    server_layer,
)

COUNT = 5 * RECORDS + 3


def goes(layer: RecordLayer, records: bytes) -> list[tuple[int, bytes]]:
    """For each call: records opened by it, and their plaintext."""
    found, data = [], records
    while True:
        out = bytearray(len(data))
        before = layer.records_opened
        size = layer.receive(memoryview(data), memoryview(out))
        found.append((layer.records_opened - before, bytes(out[:size])))
        if not layer.more:
            return found
        data = layer.pending


@pytest.mark.parametrize("suite", ALL_SUITES, ids=lambda suite: suite.name)
def test_small_records(suite: CipherSuite) -> None:
    forger, layer = Forger(suite), server_layer(suite)
    records = b"".join(forger.data(b"%c" % (i % 256)) for i in range(COUNT))
    found = goes(layer, records + b"\x17")
    assert [size for size, _ in found] == [RECORDS] * 5 + [3]
    assert b"".join(data for _, data in found) == bytes(i % 256 for i in range(COUNT))
    assert layer.pending == b"\x17"
    assert layer.error is None


def test_large_ones_are_opened_at_once() -> None:
    forger, layer = Forger(), server_layer()
    found = goes(layer, b"".join(forger.data(bytes(1400)) for _ in range(94)))
    assert len(found) == 1


def test_key_updates_count_for_more() -> None:
    layer, keys, records = server_layer(), Forger().keys, b""
    for _ in range(100):
        forger = Forger(keys=keys)
        records += forger.data(b"x") + forger.record(HANDSHAKE, KEY_UPDATE_REQUEST)
        keys = traffic_keys(TLS13, next_traffic_secret(TLS13, keys.secret))
    found = goes(layer, records)
    assert max(size for size, _ in found) <= 2 * (RECORDS // PROTOCOL_RECORD + 1)
    assert b"".join(data for _, data in found) == b"x" * 100
    assert layer.error is None


def test_an_end_behind_a_quantum() -> None:
    forger, layer = Forger(), server_layer()
    records = b"".join(forger.data(b"x") for _ in range(RECORDS + 1))
    found = goes(layer, records + forger.record(ALERT, CLOSE_NOTIFY) + forger.data(b"late"))
    assert b"".join(data for _, data in found) == b"x" * (RECORDS + 1)
    assert layer.peer_closed
    assert not layer.pending
