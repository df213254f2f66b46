"""What somebody on the way sees of TLS: the headers of the records, and where the handshake ends.

A record's header is five bytes in the clear: type, version, length (RFC 9846 §5.1). What follows
cannot be read or changed unnoticed, but it can be counted. No I/O here.

Where the handshake ends follows from who sends protected records (type 23) first:

* TLS 1.3: the server, with the rest of its handshake. The client's first one is its Finished,
  which it cannot send before it has all of the server's. So what the server sends behind it, and
  what the client sends behind it, is behind the handshake: tickets and data.
* TLS 1.2: the client, with its request, when the handshake is over on both sides.

Client certificates are not reckoned with: they would stand in records before Finished.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

HEADER = 5  # bytes
APPLICATION_DATA, ALERT = 23, 21
# What may come behind a handshake. TLS 1.2 says close_notify in a record of type 21.
_BEHIND = (APPLICATION_DATA, ALERT)
# TLS 1.3: the inner type and the tag of all AEADs that browsers use (RFC 9846 §5.2).
_EXPANSION = 17


class Direction(Enum):
    """Which way bytes go."""

    TO_CLIENT = "to client"
    TO_SERVER = "to server"


@dataclass(slots=True)
class Record:
    """A record as seen on the wire; `size` is in bytes, the header among them.

    `number` counts from 1 behind the handshake and is 0 within. `size` is 0 as long as the
    header is not complete; `seen` bytes have come.
    """

    type: int
    number: int
    size: int = 0
    seen: int = 0

    @property
    def complete(self) -> bool:
        return 0 < self.size == self.seen

    @property
    def content(self) -> int:
        """Bytes of content, if this is TLS 1.3 and not padded."""
        return max(0, self.size - HEADER - _EXPANSION)


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one record: ``data[start:end]`` of what was fed, from `offset` of the record on."""

    record: Record
    start: int
    end: int
    offset: int


class _Stream:
    """One direction."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.header = bytearray()
        self.numbered = 0


class Observer:
    """Reads along in both directions of one connection, from its first byte."""

    def __init__(self) -> None:
        self._streams = {direction: _Stream() for direction in Direction}
        self._server_protected_first = False
        self._client_protected = 0

    def records(self, direction: Direction, *, handshake: bool = False) -> list[Record]:
        """Those behind the handshake, or all; the last may be incomplete."""
        return [found for found in self._streams[direction].records if handshake or found.number]

    @property
    def tls13(self) -> bool:
        """Known once the server's part of the handshake has passed."""
        return self._server_protected_first

    def feed(self, direction: Direction, data: bytes) -> Iterator[Piece]:
        """``data`` cut at the ends of records and of headers. Take all of it before you feed
        again.

        Lengths are believed as they come: whoever is on the way has no reason to refuse any.
        """
        stream, position = self._streams[direction], 0
        while position < len(data):
            if not stream.records or stream.records[-1].complete:
                stream.records.append(self._begin(direction, data[position]))
                stream.header.clear()
            record = stream.records[-1]
            wanted = (record.size or HEADER) - record.seen
            end, offset = min(len(data), position + wanted), record.seen
            if not record.size:
                stream.header += data[position:end]
            record.seen += end - position
            if len(stream.header) == HEADER and not record.size:
                record.size = HEADER + int.from_bytes(stream.header[3:], "big")
            yield Piece(record, position, end, offset)
            position = end

    def _begin(self, direction: Direction, kind: int) -> Record:
        behind = kind in _BEHIND and self._client_protected > 0
        if kind == APPLICATION_DATA:
            if direction is Direction.TO_CLIENT:
                self._server_protected_first |= not self._client_protected
            else:
                self._client_protected += 1
                behind = not self._server_protected_first or self._client_protected > 1
        stream = self._streams[direction]
        stream.numbered += behind
        return Record(kind, stream.numbered if behind else 0)
