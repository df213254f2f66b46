"""Where to cut a direction of a connection, and the counting up to there. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kssl.proxy.demo.truncation.records import Direction, Observer, Piece

How = Literal["FIN", "RST"]


@dataclass(frozen=True, slots=True)
class Cut:
    """Where somebody on the way ends a direction, and how.

    Give either `after`, bytes behind the handshake (headers of records count), or `record`, a
    number behind the handshake from 1 on, and `byte`, how much of that record passes, its header
    included; None or more than it has: all of it.

    With nothing to pass (``after=0``, or ``record=1, byte=0``) the cut comes when there is a
    byte to be held back.
    """

    direction: Direction
    after: int | None = None
    record: int | None = None
    byte: int | None = None
    how: How = "FIN"

    def __post_init__(self) -> None:
        if (self.after is None) == (self.record is None):
            raise ValueError("a cut is either after so many bytes or at a record")
        if self.byte is not None and self.record is None:
            raise ValueError("a byte of which record?")
        record = 1 if self.record is None else self.record
        if (self.after or 0) < 0 or (self.byte or 0) < 0 or record < 1:
            raise ValueError("records are counted from 1 on, bytes from 0 on")

    def __str__(self) -> str:
        if self.after is not None:
            place = f"after {self.after} bytes"
        elif self.byte is None:
            place = f"at the end of record {self.record}"
        else:
            place = f"at byte {self.byte} of record {self.record}"
        return f"{self.how} {self.direction.value} {place}"


class Gate:
    """Lets the bytes of one direction pass up to the cut; then it is `closed`.

    `at`: the number of the record that was being let through, and how much of it has passed.
    """

    def __init__(self, cut: Cut, observer: Observer) -> None:
        self._cut = cut
        self._observer = observer
        self._behind = 0  # bytes behind the handshake that have passed
        self.closed = False
        self.at: tuple[int, int] | None = None

    def passes(self, data: bytes) -> int:
        """How many bytes of ``data``, the next of the direction, may pass. Then see `closed`."""
        passed = 0
        # All pieces are taken: the observer counts on, behind the cut too.
        for piece in self._observer.feed(self._cut.direction, data):
            if not self.closed:
                passed = piece.start + self._of(piece)
        return passed

    def _of(self, piece: Piece) -> int:
        """How much of a piece may pass; closes when it is the last."""
        size = piece.end - piece.start
        if not piece.record.number:
            return size
        allowed = self._allowed(piece)
        if allowed is None:
            self._behind += size
            return size
        passes = min(size, allowed)
        if allowed <= size:
            self.closed = True
            self.at = (piece.record.number, piece.offset + passes)
        self._behind += passes
        return passes

    def _allowed(self, piece: Piece) -> int | None:
        """How many bytes from the piece's beginning to the cut; None: it is in a later record, or
        at the end of this one, which is not known yet."""
        cut, record = self._cut, piece.record
        if cut.after is not None:
            return cut.after - self._behind
        assert cut.record is not None
        if record.number != cut.record:
            return None
        if not record.size:
            return None if cut.byte is None else cut.byte - piece.offset
        end = record.size if cut.byte is None else min(cut.byte, record.size)
        return end - piece.offset
