"""The codec interface, the choice of a codec, and how the end of a head is found."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, cast

from kssl.proxy.http import grammar
from kssl.proxy.http.bodies import BodyReader
from kssl.proxy.http.errors import too_long_request
from kssl.proxy.http.messages import HttpError, Limits, RequestHead, ResponseHead
from kssl.proxy.http.response_rules import UpgradeAsked

MAX_EMPTY_LINES = 4
"""Empty lines tolerated before a request line (RFC 9112 section 2.2 asks for at least one)."""


class Codec(Protocol):
    """Reads heads and makes readers for bodies. Stateless: one instance serves everybody."""

    name: str
    remembers: bool
    """Whether a repeated head may be answered by memo.py; not for a codec that is the reference."""

    def parse_request(self, head: bytes, limits: Limits) -> RequestHead:
        """A complete head, as find_head_end delimits it. Raises HttpError."""

    def parse_response(
        self, head: bytes, request_method: bytes, *, upgrade_asked: UpgradeAsked, limits: Limits
    ) -> ResponseHead:
        """A complete head of the response to a request with `request_method`.

        upgrade_asked: RequestHead.upgrade, so that a 101 can be compared with it; or a bool when
        only that is known. Raises UpstreamError.
        """

    def request_body(self, head: RequestHead, limits: Limits) -> BodyReader | None:
        """A reader that raises HttpError; None when there is no body."""

    def response_body(self, head: ResponseHead, limits: Limits) -> BodyReader | None:
        """A reader that raises UpstreamError; None when there is no body."""


# name → module:class. A module is imported when its codec is asked for, so that a missing library
# breaks only the codec that needs it.
_CODECS = {
    "auto": "kssl.proxy.http.codec_httptools:HttptoolsCodec",
    "httptools": "kssl.proxy.http.codec_httptools:HttptoolsCodec",
    "h11": "kssl.proxy.http.codec_h11:H11Codec",
}


def get_codec(name: str) -> Codec:
    """The codec of that name; "auto" is the fastest one. Raises ValueError for another name."""
    try:
        module, _, attribute = _CODECS[name].partition(":")
    except KeyError:
        raise ValueError(f"no HTTP codec {name!r}; there are {', '.join(_CODECS)}") from None
    make = cast(Callable[[], Codec], getattr(import_module(module), attribute))
    return make()


def skip_empty_lines(buffer: bytes | bytearray) -> int:
    """How many bytes of CRLF to drop before a request line; at most MAX_EMPTY_LINES lines."""
    position = 0
    while position < 2 * MAX_EMPTY_LINES and buffer[position : position + 2] == b"\r\n":
        position += 2
    return position


def find_head_end(buffer: bytes | bytearray, start_scan: int, limit: int) -> int:
    """The index just past the first CRLFCRLF of `buffer`, or -1 while it has none.

    start_scan: the length of the buffer at the last call that returned -1, so that bytes that
    come one by one are not searched again and again; 0 at first.
    limit: bytes, with the CRLFCRLF.
    Raises HttpError: RequestLength beyond the limit; Invalid_CR/LF for a bare CR, a bare LF or
    a NUL, which would otherwise only end with a time-out. For a response, the caller turns the
    HttpError into an UpstreamError.
    """
    end = buffer.find(b"\r\n\r\n", start_scan - 3 if start_scan > 3 else 0) + 4
    if end == 3:
        if grammar.broken_line_end(buffer, start_scan - 1 if start_scan > 1 else 0) is not None:
            raise HttpError(400, "Invalid_CR/LF", "The head has a bare CR, a bare LF or a NUL.")
        if len(buffer) >= limit:
            raise too_long_request(limit)
        return -1
    if end > limit:
        raise too_long_request(limit)
    return end
