"""The chunked transfer coding, read strictly and without copying (RFC 9112 section 7.1)."""

from __future__ import annotations

from kssl.fastpath.net.quantum import CHUNKS
from kssl.proxy.http import grammar
from kssl.proxy.http.bodies import cut_short
from kssl.proxy.http.messages import MAX_BODY, ErrorFactory, Field
from kssl.proxy.http.names import forbidden_in_trailer
from kssl.proxy.http.strict import split_trailers

MAX_CHUNK_LINE = 256
"""Bytes of a chunk's first line with its CRLF: 16 digits and room for extensions. We drop
extensions, so they are only a way to make us read without end."""

# What the next byte belongs to.
_SIZE, _DATA, _DATA_END, _TRAILERS, _DONE = range(5)


class ChunkedReader:
    """Reads one chunked body.

        _SIZE ──size > 0──► _DATA ──► _DATA_END ──► _SIZE
          └─────size = 0──► _TRAILERS ──empty line──► _DONE

    Data pieces are views of what was fed; only a size line, the CRLF after the data or a trailer
    section that is split over two feeds is copied, and these are bounded. A feed stops after
    `CHUNKS` chunks: what it has not consumed then comes with the next one.
    drop_forbidden_trailers: drop trailer fields that may not be there (upstream), instead of
    refusing the message (client).
    """

    __slots__ = (
        "_drop",
        "_error",
        "_left",
        "_max_trailers",
        "_partial",
        "_state",
        "done",
        "received",
        "trailers",
    )

    def __init__(
        self, error: ErrorFactory, max_trailer_bytes: int, *, drop_forbidden_trailers: bool
    ) -> None:
        self.done = False
        self.trailers: list[Field] = []
        self.received = 0
        self._state = _SIZE
        self._left = 0  # bytes of the current chunk that are still to come
        self._partial = bytearray()  # an unfinished line, or the trailer section so far
        self._error = error
        self._max_trailers = max_trailer_bytes
        self._drop = drop_forbidden_trailers

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        pieces: list[memoryview] = []
        position = 0
        size = len(data)
        quantum = CHUNKS
        while position < size:
            state = self._state
            if state == _SIZE:
                if not quantum:
                    break
                quantum -= 1
                position = self._whole_chunk(data, position, size, pieces)
            elif state == _DATA:
                stop = position + self._left
                if stop > size:
                    pieces.append(data[position:])
                    self._left = stop - size
                    self.received += size - position
                    return pieces, size
                pieces.append(data[position:stop])
                self.received += self._left
                position = stop
                self._state = _DATA_END
            elif state == _DATA_END:
                position = self._data_end(data, position)
            elif state == _TRAILERS:
                position = self._trailer_bytes(data, position)
            else:
                break
        return pieces, position

    def _whole_chunk(
        self, data: memoryview, position: int, size: int, pieces: list[memoryview]
    ) -> int:
        """Read a chunk that is here from its first byte to its last, as most are; else what
        `_size` does."""
        if not self._partial:
            match = grammar.chunk_line(data, position)
            if match is not None:
                start = match.end()
                length = int(match[1], 16)
                end = start + length
                if (
                    length
                    and end + 2 <= size
                    and start - position <= MAX_CHUNK_LINE
                    and data[end] == 13
                    and data[end + 1] == 10
                    and length <= MAX_BODY - self.received
                ):
                    pieces.append(data[start:end])
                    self.received += length
                    return end + 2
        return self._size(data, position)

    def feed_eof(self) -> None:
        if not self.done:
            raise cut_short(self._error)

    def _bad(self, detail: str) -> Exception:
        return self._error("BadRequest", detail)

    def _size(self, data: memoryview, position: int) -> int:
        """Read (part of) a chunk's first line; returns the new position."""
        line: bytes | bytearray | memoryview = data
        start = position
        partial = self._partial
        if partial:
            # At most the line's remaining bytes are taken; what follows it is not ours yet.
            start = 0
            taken = len(partial)
            partial += data[position : position + MAX_CHUNK_LINE]
            end = partial.find(b"\n", taken - 1)
            if end >= 0:
                del partial[end + 1 :]
            line = bytes(partial)
            position -= taken
        match = grammar.chunk_line(line, start)
        if match is None:
            return self._unfinished_size(data, line, start, position)
        stop = match.end()
        if stop - start > MAX_CHUNK_LINE:
            raise self._bad("A chunk's size line is too long.")
        if partial:
            partial.clear()
        length = int(match[1], 16)
        if length > MAX_BODY - self.received:
            raise self._bad("A chunk makes the body larger than 63 bits can count.")
        self._left = length
        self._state = _DATA if length else _TRAILERS
        return position + stop - start

    def _unfinished_size(
        self, data: memoryview, line: bytes | bytearray | memoryview, start: int, position: int
    ) -> int:
        """Not a whole size line: keep it if it may become one, else refuse at once."""
        rest = bytes(line[start : start + MAX_CHUNK_LINE])
        if len(rest) >= MAX_CHUNK_LINE or grammar.chunk_line_start(rest) is None:
            raise self._bad("A chunk does not start with its size in hexadecimal and CRLF.")
        self._partial[:] = rest
        return len(data)

    def _data_end(self, data: memoryview, position: int) -> int:
        """CRLF after chunk data; its CR may have come with an earlier feed."""
        if not self._partial:
            if data[position] != 13:
                raise self._bad("A chunk is longer than its size says, or has no CRLF after it.")
            position += 1
            if position == len(data):
                self._partial += b"\r"
                return position
        if data[position] != 10:
            raise self._bad("A chunk is longer than its size says, or has no CRLF after it.")
        self._partial.clear()
        self._state = _SIZE
        return position + 1

    def _trailer_bytes(self, data: memoryview, position: int) -> int:
        """trailer-section CRLF (RFC 9112 section 7.1.2)."""
        partial = self._partial
        taken = len(partial)
        if not taken and bytes(data[position : position + 2]) == b"\r\n":
            return self._finish(position + 2)
        partial += data[position : position + self._max_trailers + 1 - taken]
        if partial[:2] == b"\r\n":
            end = 2
        else:
            end = partial.find(b"\r\n\r\n", max(0, taken - 3)) + 4
            if end == 3:
                if len(partial) > self._max_trailers:
                    raise self._bad("The trailer section is too long.")
                if grammar.broken_line_end(partial, max(0, taken - 1)) is not None:
                    raise self._error("Invalid_CR/LF", "A trailer line does not end with CRLF.")
                return len(data)
            if end > self._max_trailers:
                raise self._bad("The trailer section is too long.")
            self._keep(split_trailers(bytes(partial[:end]), self._error))
        partial.clear()
        return self._finish(position + end - taken)

    def _keep(self, fields: list[Field]) -> None:
        for field in fields:
            if not forbidden_in_trailer(field[0]):
                self.trailers.append(field)
            elif not self._drop:
                raise self._error("Header", f"{field[1].decode()} may not be a trailer field.")

    def _finish(self, position: int) -> int:
        self._state = _DONE
        self.done = True
        return position
