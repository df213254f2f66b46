"""`RecordCutter` finds where one of the client's records ends, without opening it. Sans-I/O.

It is for connections without bulk encryption, where records are read and opened one by one. The
record layer judges them; a header that no record has is passed on alone, so that its alert does
not wait for bytes that may never come.
"""

from __future__ import annotations

from collections.abc import Iterator

from kssl.fastpath.record.wire import HEADER_LENGTH, MAX_EXPANSION_TLS12, MAX_FRAGMENT, ContentType

# Bytes that may follow a header in either version; more than TLS 1.3's own limit.
MAX_LENGTH = MAX_FRAGMENT + MAX_EXPANSION_TLS12

# Bytes of the longest record, its header included.
MAX_RECORD = HEADER_LENGTH + MAX_LENGTH


class RecordCutter:
    """The beginning of a record, at most `MAX_RECORD` bytes, until the rest comes."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def missing(self) -> int:
        """The bytes up to the next cut: of the header, then of what the header announces."""
        held = self._held
        if len(held) < HEADER_LENGTH:
            return HEADER_LENGTH - len(held)
        return HEADER_LENGTH + _length(held) - len(held)

    def add(self, data: memoryview) -> memoryview | None:
        """Take ``data``, not more than :attr:`missing` bytes.

        Return the record that it completes, or the header that no record has; else None.
        """
        held = self._held
        held += data
        if len(held) < HEADER_LENGTH:
            return None
        length = _length(held)
        possible = (
            ContentType.ALERT <= held[0] <= ContentType.APPLICATION_DATA and length <= MAX_LENGTH
        )
        if possible and len(held) < HEADER_LENGTH + length:
            return None
        self._held = bytearray()
        return memoryview(held)

    def cut(self, data: memoryview) -> Iterator[memoryview]:
        """Yield the records that ``data``, of any length, completes."""
        start = 0
        while start < len(data):
            end = start + self.missing
            record = self.add(data[start:end])
            start = end
            if record is not None:
                yield record


def _length(header: bytearray) -> int:
    return header[3] << 8 | header[4]
