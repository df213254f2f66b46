"""One request and its answer, without I/O: h11, and rules that are stricter than h11's.

Bytes go in, a `Reply` or a `Moved` comes out. Everything that the server controls has a limit:
a head or the framing around chunks 16 KiB (what arrives in one piece may be twice that), interim
answers 4, the body, the bytes on the wire, which chunks of one byte make six times the body, and
the pieces in which it comes, as each takes the processor's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import h11

from kssl.fastpath.verifier.fetch.errors import FetchFailure, shown
from kssl.fastpath.verifier.fetch.freshness import lifetime
from kssl.fastpath.verifier.fetch.limits import Kind
from kssl.fastpath.verifier.fetch.url import Target

_MAX_HEAD = 16 << 10
_MAX_INTERIM = 4
_FRAMING = 64 << 10  # wire bytes that are always granted beside twice the body
# Packets and chunks: so many, and one more for each so many bytes on the wire.
_PIECES = 1024
_PIECE = 128
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

Fields = Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer with status 200."""

    body: bytes = field(repr=False)
    seconds: float  # that it may be kept


@dataclass(frozen=True, slots=True)
class Moved:
    """A redirect; nothing is known yet about where it leads."""

    location: str


class Exchange:
    """Send `request`, then feed what is received until something comes out."""

    def __init__(self, target: Target, kind: Kind, limit: int) -> None:
        """``limit``: bytes of the body."""
        self._kind = kind
        self._limit = limit
        self._wire = 2 * limit + _FRAMING
        self._received = self._pieces = 0
        self._interim = 0
        self._seconds: float | None = None  # None: no head yet
        self._body: list[bytes] = []
        self._size = 0
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)
        self.request = self._sent(target)

    def feed(self, data: bytes) -> Reply | Moved | None:
        """``data`` as it was received, b"" at the end; None: more is needed.

        Raises FetchFailure: the answer is none, not acceptable or too large.
        """
        self._wire -= len(data)
        self._received += len(data)
        if self._wire < 0:
            raise FetchFailure(f"the answer is framed wastefully for a {self._kind.value}")
        self._count_piece()
        try:
            self._http.receive_data(data)
            return self._events()
        except h11.RemoteProtocolError as error:
            raise FetchFailure(f"the answer is not proper HTTP/1.1 ({shown(str(error))})") from None

    def _events(self) -> Reply | Moved | None:
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                return None
            if isinstance(event, h11.InformationalResponse):
                self._interim += 1
                if self._interim > _MAX_INTERIM:
                    raise FetchFailure(f"more than {_MAX_INTERIM} interim answers came")
            elif isinstance(event, h11.Response):
                moved = self._head(event)
                if moved is not None:
                    return moved
            elif isinstance(event, h11.Data):
                self._add(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                assert self._seconds is not None  # h11 tells of the head first
                return Reply(b"".join(self._body), self._seconds)
            else:
                raise FetchFailure("the server ends the connection without an answer")

    def _head(self, response: h11.Response) -> Moved | None:
        status, fields = response.status_code, response.headers
        if response.http_version not in (b"1.0", b"1.1"):
            raise FetchFailure("the answer is not proper HTTP/1.1 (another version)")
        if status in _REDIRECTS:
            return Moved(_only(fields, b"location", "no single place to redirect to (Location)"))
        if status != 200:
            raise FetchFailure(f"the server answers {status} instead of 200; is the file there?")
        coding = _joined(fields, b"content-encoding").strip().lower()
        if coding not in ("", "identity"):
            raise FetchFailure(f"the answer is packed ({shown(coding, 40)}), which was not asked")
        length = _joined(fields, b"content-length")
        if _joined(fields, b"transfer-encoding") and (length or response.http_version != b"1.1"):
            raise FetchFailure("the answer gives two lengths, or chunks in HTTP/1.0")
        # h11 has checked that it is a number of at most 20 digits.
        if length and int(length) > self._limit:
            raise self._too_large()
        self._seconds = lifetime(
            _joined(fields, b"cache-control"), _joined(fields, b"expires"), _joined(fields, b"date")
        )
        return None

    def _count_piece(self) -> None:
        self._pieces += 1
        if self._pieces > _PIECES + self._received // _PIECE:
            raise FetchFailure(f"the {self._kind.value} comes in too many small pieces")

    def _add(self, data: bytes) -> None:
        self._count_piece()
        self._size += len(data)
        if self._size > self._limit:
            raise self._too_large()
        self._body.append(data)

    def _too_large(self) -> FetchFailure:
        return FetchFailure(f"the {self._kind.value} is larger than {self._limit} bytes")

    def _sent(self, target: Target) -> bytes:
        request = h11.Request(
            method="GET",
            target=target.path,
            headers=[
                ("Host", target.authority),
                ("Accept", self._kind.accept),
                ("Accept-Encoding", "identity"),
                ("User-Agent", "kssl"),
                ("Connection", "close"),
            ],
        )
        head = self._http.send(request)
        end = self._http.send(h11.EndOfMessage())
        assert head is not None  # only for ConnectionClosed
        assert end is not None
        return head + end


def _joined(fields: Fields, name: bytes) -> str:
    return ", ".join(value.decode("latin-1") for key, value in fields if key == name)


def _only(fields: Fields, name: bytes, problem: str) -> str:
    values = [value for key, value in fields if key == name]
    if len(values) != 1:
        raise FetchFailure(f"the answer has {problem}")
    return values[0].decode("latin-1")
