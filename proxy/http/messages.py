"""What the rest of the front end sees of HTTP: heads, framing, limits and errors.

Field values and names are bytes as received. Sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto

# Who reads heads needs their errors too, and finds both here.
from kssl.proxy.http.errors import (
    ErrorFactory,
    HttpError,
    UpstreamError,
    client_error,
    upstream_error,
)
from kssl.proxy.http.url import UrlRules

__all__ = [
    "MAX_BODY",
    "ErrorFactory",
    "Field",
    "Fields",
    "Framing",
    "HttpError",
    "Limits",
    "RequestHead",
    "ResponseHead",
    "UpstreamError",
    "client_error",
    "upstream_error",
]

Field = tuple[bytes, bytes, bytes]
"""(lower-case name, name as received, value without optional white space)."""

MAX_BODY = 2**63 - 1
"""Largest body length in bytes: what a signed 64-bit counter holds in any upstream."""


@dataclass(slots=True)
class Limits:
    """Bytes, except `max_fields` and `url`; the first three: MaxFieldLength, MaxRequestBytes and
    MaxResponseHeadBytes."""

    max_field_length: int = 16384
    """Name and value of one field of a request together."""
    max_request_bytes: int = 16384
    """Request line and fields, up to and with the empty line."""
    max_response_head: int = 65536
    """Status line and fields of a response, each field included."""
    max_fields: int = 200
    """Field lines in one head; bounds the work per head, not its bytes."""
    max_trailer_bytes: int = 16384
    """The whole trailer section of one body."""
    url: UrlRules = field(default_factory=UrlRules)
    """Of the path. RequestMemo applies it, so that no codec has to."""


class Framing(Enum):
    """How the end of a body is known (RFC 9112 section 6.3)."""

    NONE = auto()
    """There is no body."""
    LENGTH = auto()
    """Content-Length says how many bytes."""
    CHUNKED = auto()
    """The chunked coding marks the end."""
    CLOSE = auto()
    """The end of the connection is the end of the body (responses only)."""


class Fields:
    """The fields of one head, in order; iterate for `Field`s.

    Most heads pass through unchanged but for a line or two. So a codec that has checked the whole
    head need not split it: then there are no `fields` but `raw`, which is split when somebody asks.

    raw: the head as received, start line and empty line included.
    passed_on: the same without the lines that may not pass and without the empty line; b"" where
    a builder has to go through the fields.
    """

    __slots__ = ("_all", "_raw", "passed_on")

    def __init__(
        self, fields: list[Field] | None, raw: bytes = b"", passed_on: bytes = b""
    ) -> None:
        self._all = fields
        self._raw = raw
        self.passed_on = passed_on

    def get(self, low: bytes) -> bytes:
        """The first value of a field by its lower-case name; b"" when there is none."""
        if self._all is None:
            # Not worth splitting them all: the access log asks for two, of every request.
            start = self._raw.lower().find(b"\r\n" + low + b":")
            if start < 0:
                return b""
            return _split(self._raw[start + 2 : self._raw.index(b"\r\n", start + 2)])[2]
        for name, _, value in self._all:
            if name == low:
                return value
        return b""

    def __iter__(self) -> Iterator[Field]:
        if self._all is None:
            self._all = [_split(line) for line in self._raw.split(b"\r\n")[1:-2]]
        return iter(self._all)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields | list) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def _split(line: bytes) -> Field:
    """A field line that the grammar has matched."""
    name, _, value = line.partition(b":")
    return name.lower(), name, value.strip(b" \t")


@dataclass(slots=True)
class RequestHead:
    """A request that passed every rule. `fields` are as the client sent them, in order."""

    method: bytes
    target: bytes
    """Origin-form, or `*` for OPTIONS; an absolute-form target was rewritten."""
    version: bytes
    """b"1.1" or b"1.0"."""
    fields: Fields
    host: bytes
    """uri-host [ ":" port ] as received; b"" for HTTP/1.0 without Host."""
    content_length: int | None
    chunked: bool
    keep_alive: bool
    """The client may send another request on this connection."""
    upgrade: bytes | None
    """What the client may upgrade to, e.g. b"websocket"; None when it asked for nothing."""
    expect_continue: bool
    """The client waits for 100 (Continue) before it sends the body."""
    connection_options: frozenset[bytes]
    """Lower-case tokens of Connection."""

    @property
    def line(self) -> bytes:
        """The request line, as the logs have it."""
        return b"%b %b HTTP/%b" % (self.method, self.target, self.version)


@dataclass(slots=True)
class ResponseHead:
    """A response that passed every rule. `fields` are as the upstream sent them, in order."""

    status: int
    reason: bytes
    version: bytes
    fields: Fields
    framing: Framing
    content_length: int | None
    """As declared; information only when `framing` is NONE (HEAD, 304)."""
    keep_alive: bool
    """The upstream connection may carry another request after this message. Of a 1xx: after the
    final response, as far as this one is concerned."""
    connection_options: frozenset[bytes]
    upgrade: bytes | None
    """What a 101 switches to, or what a 426 requires; None for every other status."""
    idle_limit: int | None = None
    """Seconds after which the upstream closes the connection unless there is another request; 0: at
    once. None: it does not say."""
