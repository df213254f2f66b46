"""The reference codec: h11, and our own grammar beside it.

Slow and simple. What it refuses the fast codec refuses too (tests compare them), and where h11
is laxer than our rules (line folding, bare LF, lists in Content-Length), the rules decide.
"""

from __future__ import annotations

import h11

from kssl.proxy.http import strict
from kssl.proxy.http.bodies import BodyReader, CloseReader, LengthReader, cut_short
from kssl.proxy.http.chunked import ChunkedReader
from kssl.proxy.http.errors import too_long_request, too_long_response
from kssl.proxy.http.messages import (
    ErrorFactory,
    Field,
    Fields,
    Framing,
    HttpError,
    Limits,
    RequestHead,
    ResponseHead,
    UpstreamError,
    client_error,
    upstream_error,
)
from kssl.proxy.http.repair import repair_response
from kssl.proxy.http.request_rules import make_request
from kssl.proxy.http.response_rules import UpgradeAsked, make_response


class H11Codec:
    """See kssl.proxy.http.codec.Codec."""

    name = "h11"
    remembers = False

    def parse_request(self, head: bytes, limits: Limits) -> RequestHead:
        if len(head) > limits.max_request_bytes:
            raise too_long_request(limits.max_request_bytes)
        method, target, minor, fields = strict.split_request(head)
        request = make_request(method, target, minor, Fields(fields), len(head), limits, False)
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=len(head) + 1)
        try:
            connection.receive_data(head)
            event = connection.next_event()
        except h11.RemoteProtocolError:
            raise HttpError(400, "BadRequest", "The HTTP parser refused the request.") from None
        if (
            not isinstance(event, h11.Request)
            or (event.method, event.target, event.http_version) != (method, target, b"1." + minor)
            or not _same(event.headers.raw_items(), fields)
        ):
            raise HttpError(400, "BadRequest", "The fields of the request are ambiguous.")
        return request

    def parse_response(
        self, head: bytes, request_method: bytes, *, upgrade_asked: UpgradeAsked, limits: Limits
    ) -> ResponseHead:
        if len(head) > limits.max_response_head:
            raise UpstreamError(too_long_response(limits.max_response_head))
        head = repair_response(head)
        minor, status, reason, fields = strict.split_response(head)
        response = make_response(
            minor,
            int(status),
            reason,
            Fields(fields),
            request_method,
            upgrade_asked,
            len(head),
            limits,
        )
        connection = _client(request_method, bool(upgrade_asked), len(head) + 1)
        try:
            connection.receive_data(head)
            event = connection.next_event()
        except h11.RemoteProtocolError:
            raise UpstreamError("The HTTP parser refused the upstream's response.") from None
        if (
            not isinstance(event, h11.Response | h11.InformationalResponse)
            or (event.status_code, event.http_version) != (int(status), b"1." + minor)
            or not _same(event.headers.raw_items(), fields)
        ):
            raise UpstreamError("The fields of the response are ambiguous.")
        return response

    def request_body(self, head: RequestHead, limits: Limits) -> BodyReader | None:
        if head.content_length:
            return LengthReader(head.content_length, client_error)
        if not head.chunked:
            return None
        connection = h11.Connection(
            h11.SERVER, max_incomplete_event_size=limits.max_trailer_bytes + 1024
        )
        connection.receive_data(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.next_event()
        strict_reader = ChunkedReader(
            client_error, limits.max_trailer_bytes, drop_forbidden_trailers=False
        )
        return _H11ChunkedReader(connection, strict_reader, client_error)

    def response_body(self, head: ResponseHead, limits: Limits) -> BodyReader | None:
        if head.framing is Framing.LENGTH:
            length = head.content_length
            return LengthReader(length, upstream_error) if length else None
        if head.framing is Framing.CLOSE:
            return CloseReader()
        if head.framing is Framing.NONE:
            return None
        connection = _client(b"GET", False, limits.max_trailer_bytes + 1024)
        connection.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.next_event()
        strict_reader = ChunkedReader(
            upstream_error, limits.max_trailer_bytes, drop_forbidden_trailers=True
        )
        return _H11ChunkedReader(connection, strict_reader, upstream_error)


class _H11ChunkedReader:
    """A chunked body read by h11 and by our strict reader; both have to see the same."""

    __slots__ = ("_connection", "_error", "_strict", "done", "received", "trailers")

    def __init__(
        self, connection: h11.Connection, strict_reader: ChunkedReader, error: ErrorFactory
    ) -> None:
        self._connection = connection
        self._strict = strict_reader
        self._error = error
        self.done = False
        self.trailers: list[Field] = []
        self.received = 0

    def feed(self, data: memoryview) -> tuple[list[memoryview], int]:
        if self.done or not len(data):
            return [], 0
        pieces, consumed = self._strict.feed(data)
        body = bytearray()
        finished = False
        try:
            # All of it, so that h11 says itself where the message ends; or the quantum.
            if not self._strict.done:
                data = data[:consumed]
            self._connection.receive_data(bytes(data))
            while not finished:
                event = self._connection.next_event()
                if isinstance(event, h11.Data):
                    body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    finished = True
                else:
                    break
        except h11.RemoteProtocolError:
            raise self._error("BadRequest", "The HTTP parser refused the body.") from None
        left = len(self._connection.trailing_data[0]) if finished else 0
        if (
            body != b"".join(pieces)
            or finished != self._strict.done
            or left != len(data) - consumed
        ):
            raise self._error("BadRequest", "The framing of the body is ambiguous.")
        self.received += len(body)
        self.done = finished
        self.trailers = self._strict.trailers
        return pieces, consumed

    def feed_eof(self) -> None:
        if not self.done:
            raise cut_short(self._error)


def _client(method: bytes, upgrade: bool, max_size: int) -> h11.Connection:
    """A client's connection that waits for the response to a request."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=max_size)
    fields = [("Host", "h")]
    if upgrade:
        fields += [("Connection", "upgrade"), ("Upgrade", "any")]
    connection.send(h11.Request(method=method, target="/", headers=fields))
    connection.send(h11.EndOfMessage())
    return connection


def _same(parsed: list[tuple[bytes, bytes]], fields: list[Field]) -> bool:
    """Whether h11 split the head as we did. It lower-cases the value of Transfer-Encoding."""
    return [(name, value.lower()) for name, value in parsed] == [
        (name, value.lower()) for _, name, value in fields
    ]
