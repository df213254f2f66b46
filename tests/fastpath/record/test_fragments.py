"""Records of a connection with max_fragment_length (RFC 6066 §4), by size."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.engines import aead
from kssl.fastpath.engines.contract import MAX_PIECE
from kssl.fastpath.ipc.frames import MAX_PAYLOAD
from kssl.fastpath.record import RecordLayer
from kssl.fastpath.tls.errors import Alert
from kssl.fastpath.tls.fragment import MAX_FRAGMENT, SIZES
from kssl.fastpath.tls.keys import ConnectionKeys
from kssl.fastpath.tls.suites import CipherSuite
from tests.fastpath.record.peers import (
    DATA,
    TLS12,
    TLS13,
    Forger,
    client_layer,
    server_layer,
    split_records,
)

every_size = pytest.mark.parametrize("size", [*SIZES.values(), MAX_FRAGMENT])
every_suite = pytest.mark.parametrize("suite", [TLS13, TLS12], ids=["TLS1.3", "TLS1.2"])


def limited(layer: RecordLayer, size: int) -> RecordLayer:
    return RecordLayer(replace(layer.keys, max_fragment=size))


def overflown(layer: RecordLayer) -> bool:
    return layer.error is not None and layer.error.alert is Alert.RECORD_OVERFLOW


@every_size
@every_suite
def test_sealing(suite: CipherSuite, size: int) -> None:
    """TLS 1.3's content type counts where the limit is smaller (RFC 9846 §5.4)."""
    server, client = limited(server_layer(suite), size), limited(client_layer(suite), size)
    assert server.keys.max_fragment == size
    data = bytes(range(256)) * 257
    sealed = server.seal_bytes(data)
    assert len(sealed) <= server.sealed_size(len(data))
    overhead = 17 if suite.tls13 else 24
    contents = [len(record) - 5 - overhead for record in split_records(sealed)]
    full = size - (suite.tls13 and size < MAX_FRAGMENT)
    assert set(contents[:-1]) == {full}
    assert contents[-1] <= full
    assert client.feed(sealed) == data


@given(length=st.integers(0, 70_000), size=st.sampled_from([*SIZES.values()]))
@pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
def test_any_length(length: int, size: int, tls13: bool) -> None:
    suite = TLS13 if tls13 else TLS12
    server, client = limited(server_layer(suite), size), limited(client_layer(suite), size)
    sealed = server.seal_bytes(bytes(length))
    assert len(sealed) <= server.sealed_size(length)
    assert client.feed(sealed) == bytes(length)


@every_size
@every_suite
def test_opening_up_to_the_limit(suite: CipherSuite, size: int) -> None:
    server, forger = limited(server_layer(suite), size), Forger(suite)
    assert server.feed(forger.data(b"x" * size)) == b"x" * size
    assert not overflown(server)
    assert server.feed(forger.data(b"x" * (size + 1))) == b""
    assert overflown(server)


@every_size
def test_padding_counts(size: int) -> None:
    server, forger = limited(server_layer(), size), Forger()
    assert server.feed(forger.record(DATA, b"x", padding=size - 1)) == b"x"
    assert server.feed(forger.record(DATA, b"x", padding=size)) == b""
    assert overflown(server)


@every_size
def test_handshake_messages(size: int) -> None:
    server = limited(server_layer(), size)
    server.seal_handshake(bytes(MAX_FRAGMENT))
    records = split_records(bytes(server.outgoing))
    assert max(len(record) - 5 - 16 for record in records) == size + (size == MAX_FRAGMENT)


@every_suite
def test_the_limit_outlives_new_keys(suite: CipherSuite) -> None:
    server = limited(server_layer(suite), 512)
    if suite.tls13:
        server.update_keys()
        forger = Forger(suite)
        assert server.feed(forger.key_update()) == b""
        assert server.feed(forger.data(b"x" * 513)) == b""
        assert overflown(server)
    keys = ConnectionKeys.unpack(limited(server_layer(suite), 512).keys.pack())
    sealed = RecordLayer(keys).seal_bytes(bytes(2000))
    assert max(map(len, split_records(sealed))) <= 512 + 5 + 24


@every_suite
def test_a_piece_fits_the_buffers_and_frames(suite: CipherSuite) -> None:
    size = limited(server_layer(suite), 512).sealed_size(MAX_PIECE)
    assert size <= len(aead._SEALED)
    assert size <= MAX_PAYLOAD


@pytest.mark.parametrize("size", [0, 1, 511, 513, 16383, 16385, 65535])
def test_no_other_limits_cross(size: int) -> None:
    keys = server_layer().keys
    with pytest.raises(ValueError, match="limited"):
        replace(keys, max_fragment=size)
    packed = bytearray(keys.pack())
    packed[4:6] = size.to_bytes(2, "big")
    with pytest.raises(ValueError, match="limited"):
        ConnectionKeys.unpack(bytes(packed))
