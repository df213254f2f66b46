"""Keys as values: the wire form, and what it refuses."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.engines.contract import Handover
from kssl.fastpath.net.channel import Channel
from kssl.fastpath.tls.keys import MAX_SEQUENCE, ConnectionKeys, DirectionKeys
from kssl.fastpath.tls.suites import BY_OPENSSL_NAME, SUITES, CipherSuite
from tests.fastpath.record.peers import example_keys

AES128 = BY_OPENSSL_NAME["TLS_AES_128_GCM_SHA256"]


def example(suite: CipherSuite) -> ConnectionKeys:
    return ConnectionKeys(suite, *example_keys(suite))


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.openssl_name)
def test_round_trip(suite: CipherSuite) -> None:
    keys = example(suite)
    assert ConnectionKeys.unpack(keys.pack()) == keys
    assert ConnectionKeys.unpack(memoryview(keys.pack())) == keys


def test_the_wire_form_is_short() -> None:
    assert len(example(AES128).pack()) == 6 + 2 * (19 + 16 + 12 + 32)


def test_the_largest_numbers() -> None:
    direction = DirectionKeys(b"k" * 16, b"i" * 12, MAX_SEQUENCE, b"s" * 32)
    keys = ConnectionKeys(AES128, direction, direction)
    assert ConnectionKeys.unpack(keys.pack()) == keys


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.openssl_name)
def test_repr_shows_no_secret(suite: CipherSuite) -> None:
    keys = example(suite)
    shown = f"{keys!r} {keys} {keys.read!r} {keys.write}"
    for direction in (keys.read, keys.write):
        for secret in (direction.key, direction.iv, direction.secret):
            assert not secret or repr(secret)[2:-1] not in shown
            assert not secret or secret.hex() not in shown
    assert suite.name in shown


def test_each_truncation_is_refused() -> None:
    packed = example(AES128).pack()
    for length in range(len(packed)):
        with pytest.raises(ValueError, match=r"connection keys|must"):
            ConnectionKeys.unpack(packed[:length])


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="trailing"):
        ConnectionKeys.unpack(example(AES128).pack() + b"\0")


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        ConnectionKeys.unpack(b"\x01" + example(AES128).pack()[1:])


def test_an_unknown_suite_is_refused() -> None:
    packed = example(AES128).pack()
    with pytest.raises(ValueError, match="unknown"):
        ConnectionKeys.unpack(packed[:2] + b"\x13\x05" + packed[4:])


def test_keys_of_another_suite_are_refused() -> None:
    packed = example(AES128).pack()
    with pytest.raises(ValueError, match="the key must be 32 bytes"):
        ConnectionKeys.unpack(packed[:2] + b"\x13\x02" + packed[4:])


def test_a_handover_does_not_show_keys() -> None:
    packed = example(AES128).pack()
    handover = Handover(
        loop=cast("asyncio.AbstractEventLoop", None),
        channel=cast("Channel", None),
        link=None,
        identifier=1,
        keys=packed,
        close_notify=True,
    )
    assert repr(packed)[2:-1] not in repr(handover)
    assert "keys" not in repr(handover)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="connection keys"):
        ConnectionKeys.unpack(data)


@pytest.mark.parametrize(
    "direction",
    [
        DirectionKeys(b"k" * 15, b"i" * 12, 0, b"s" * 32),
        DirectionKeys(b"k" * 16, b"i" * 4, 0, b"s" * 32),
        DirectionKeys(b"k" * 16, b"i" * 12, 0),
        DirectionKeys(b"k" * 16, b"i" * 12, 2**64, b"s" * 32),
        DirectionKeys(b"k" * 16, b"i" * 12, -1, b"s" * 32),
        DirectionKeys(b"k" * 16, b"i" * 12, 0, b"s" * 32, 2**64),
    ],
    ids=["key", "iv", "secret", "sequence too large", "sequence negative", "explicit nonce"],
)
def test_what_does_not_fit_is_refused(direction: DirectionKeys) -> None:
    with pytest.raises(ValueError, match="must"):
        ConnectionKeys(AES128, direction, direction)
