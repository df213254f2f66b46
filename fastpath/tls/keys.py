"""The traffic keys of one connection, as values that cross a process boundary.

The wire form is ours and short: no pickle, because the receiving side must be able to trust
nothing but the shape. `repr` never shows a secret, so that a log line cannot leak one.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from kssl.fastpath.tls.fragment import MAX_FRAGMENT, SIZES
from kssl.fastpath.tls.suites import BY_CODE, CipherSuite

MAX_SEQUENCE = 2**64 - 1
"""The last record sequence number of a key: 64 bits that must not wrap (RFC 9846 §5.3)."""


@dataclass(frozen=True, slots=True, repr=False)
class DirectionKeys:
    """One direction: what seals or opens its next record.

    `key`: the AEAD key. `iv`: 12 bytes, or the 4-byte salt for TLS 1.2 GCM.
    `sequence`: number of the next record. `secret`: the TLS 1.3 application traffic secret from
    which KeyUpdate derives the next key, empty in TLS 1.2. `explicit_nonce`: the next 8-byte
    explicit nonce, used when writing TLS 1.2 GCM alone.
    """

    key: bytes
    iv: bytes
    sequence: int
    secret: bytes = b""
    explicit_nonce: int = 0

    def at(self, sequence: int, explicit_nonce: int = 0) -> DirectionKeys:
        """Return the same keys for another record: a third of the time of `dataclasses.replace`."""
        return DirectionKeys(self.key, self.iv, sequence, self.secret, explicit_nonce)

    def __repr__(self) -> str:
        return f"<DirectionKeys at record {self.sequence}>"


@dataclass(frozen=True, slots=True, repr=False)
class ConnectionKeys:
    """Both directions, seen from our side. Raises ValueError when a length does not fit.

    `client`: we are the client of the connection, so the peer may send what only servers send.
    `max_fragment`: bytes of content in a record that either side may send.
    """

    suite: CipherSuite
    read: DirectionKeys
    write: DirectionKeys
    client: bool = False
    max_fragment: int = MAX_FRAGMENT

    def __post_init__(self) -> None:
        _check(self.suite, self.read)
        _check(self.suite, self.write)
        if self.max_fragment not in _FRAGMENTS:
            raise ValueError(f"no record is limited to {self.max_fragment} bytes")

    def __repr__(self) -> str:
        return f"<ConnectionKeys {self.suite.name} read={self.read!r} write={self.write!r}>"

    def pack(self) -> bytes:
        """Return the wire form: 6 bytes of head, then the read and the write direction."""
        head = _HEAD.pack(_FORMAT, self.client, self.suite.code, self.max_fragment)
        return head + _pack_direction(self.read) + _pack_direction(self.write)

    @classmethod
    def unpack(cls, data: bytes | memoryview) -> ConnectionKeys:
        """Parse what `pack` made. Raises ValueError for anything else."""
        data = bytes(data)
        if len(data) < _HEAD.size:
            raise ValueError("connection keys: too short")
        format_, client, code, max_fragment = _HEAD.unpack_from(data)
        if format_ != _FORMAT or client > 1 or code not in BY_CODE:
            raise ValueError("connection keys: unknown format or cipher suite")
        read, position = _unpack_direction(data, _HEAD.size)
        write, position = _unpack_direction(data, position)
        if position != len(data):
            raise ValueError("connection keys: trailing bytes")
        return cls(BY_CODE[code], read, write, bool(client), max_fragment)


_FORMAT = 3
# Format, whether we are the client, IANA code of the suite, largest fragment.
_HEAD = struct.Struct(">BBHH")
_FRAGMENTS = frozenset((MAX_FRAGMENT, *SIZES.values()))
_DIRECTION = struct.Struct(">QQBBB")  # sequence, explicit nonce, lengths of key, IV and secret


def _pack_direction(keys: DirectionKeys) -> bytes:
    lengths = (len(keys.key), len(keys.iv), len(keys.secret))
    head = _DIRECTION.pack(keys.sequence, keys.explicit_nonce, *lengths)
    return head + keys.key + keys.iv + keys.secret


def _unpack_direction(data: bytes, position: int) -> tuple[DirectionKeys, int]:
    body = position + _DIRECTION.size
    if len(data) < body:
        raise ValueError("connection keys: too short")
    sequence, explicit, key_length, iv_length, secret_length = _DIRECTION.unpack_from(
        data, position
    )
    iv = body + key_length
    secret = iv + iv_length
    end = secret + secret_length
    if end > len(data):
        raise ValueError("connection keys: too short")
    return DirectionKeys(data[body:iv], data[iv:secret], sequence, data[secret:end], explicit), end


def _check(suite: CipherSuite, keys: DirectionKeys) -> None:
    if len(keys.key) != suite.key_length:
        raise ValueError(f"{suite.name}: the key must be {suite.key_length} bytes")
    if len(keys.iv) != suite.implicit_iv_length:
        raise ValueError(f"{suite.name}: the IV must be {suite.implicit_iv_length} bytes")
    if len(keys.secret) != suite.secret_length:
        raise ValueError(f"{suite.name}: the traffic secret must be {suite.secret_length} bytes")
    if not 0 <= keys.sequence <= MAX_SEQUENCE:
        raise ValueError("the sequence number must fit 64 bits")
    if not 0 <= keys.explicit_nonce <= MAX_SEQUENCE:
        raise ValueError("the explicit nonce must fit 64 bits")
