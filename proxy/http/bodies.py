"""Readers for bodies whose framing needs no parser: known length, and until close.

A reader never copies: it hands on views into the bytes that it was given.
"""

from __future__ import annotations

from typing import Protocol

from kssl.proxy.http.messages import ErrorFactory, Field, HttpError


class BodyReader(Protocol):
    """Reads one body. `feed` until `done`; on end of file call `feed_eof`."""

    done: bool
    trailers: list[Field]
    """Of a chunked body, once it is done."""
    received: int
    """Body bytes so far, without framing."""

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        """Bytes → pieces of body (views into `data` where possible) and bytes consumed.

        Stops at the end of the message: what is not consumed belongs to the next one. May stop
        before, when that was work enough (`kssl.fastpath.net.quantum`): not `done`, and the caller
        comes again with the rest, in another turn.
        Raises HttpError or UpstreamError, by whose body it is.
        """

    def feed_eof(self) -> None:
        """The peer closed: marks a CLOSE body done; for others raises ("cut short")."""


def cut_short(error: ErrorFactory) -> Exception:
    """The peer closed the connection in the middle of a body."""
    return error("BadRequest", "The connection was closed in the middle of the body.")


class LengthReader:
    """`Content-Length` bytes (RFC 9112 section 6.2)."""

    __slots__ = ("_error", "_left", "done", "received", "trailers")

    def __init__(self, length: int, error: ErrorFactory) -> None:
        self.done = length == 0
        self.trailers: list[Field] = []
        self.received = 0
        self._left = length
        self._error = error

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        size = len(data)
        left = self._left
        if size > left:
            data = data[:left]
            size = left
        self.received += size
        self._left = left - size
        if size == left:
            self.done = True
        return ([data], size) if size else ([], 0)

    def feed_eof(self) -> None:
        if not self.done:
            raise cut_short(self._error)


class CloseReader:
    """Everything until the connection closes (RFC 9112 section 6.3, rule 8)."""

    __slots__ = ("done", "received", "trailers")

    def __init__(self) -> None:
        self.done = False
        self.trailers: list[Field] = []
        self.received = 0

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        size = len(data)
        if not size or self.done:
            return [], 0
        self.received += size
        return [data], size

    def feed_eof(self) -> None:
        self.done = True


class LimitedReader:
    """Another reader whose body may have `limit` bytes; raises `error` with the first one more.

    For bodies of unknown length: a known one is judged by its head.
    """

    __slots__ = ("_error", "_limit", "_reader", "done", "received", "trailers")

    def __init__(self, reader: BodyReader, limit: int, error: HttpError) -> None:
        self.done = reader.done
        self.trailers = reader.trailers
        self.received = reader.received
        self._reader = reader
        self._limit = limit
        self._error = error

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        reader = self._reader
        fed = reader.feed(data)
        if reader.received > self._limit:
            raise self._error
        self.received = reader.received
        self.done = reader.done
        self.trailers = reader.trailers
        return fed

    def feed_eof(self) -> None:
        self._reader.feed_eof()
        self.done = self._reader.done
