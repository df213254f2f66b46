"""The fast codec: llhttp through httptools, with one regular expression beside it.

A head is accepted when grammar, llhttp and rules all accept it. llhttp splits the fields in C;
the regular expression is what makes it strict, since llhttp alone takes folded lines and more.
"""

from __future__ import annotations

from httptools import (
    HttpParserError,
    HttpParserUpgrade,
    HttpRequestParser,
    HttpResponseParser,
)

from proxy.http import grammar, strict
from proxy.http.bodies import BodyReader, CloseReader, LengthReader
from proxy.http.chunked import ChunkedReader
from proxy.http.messages import (
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
from proxy.http.names import special_fields
from proxy.http.request_rules import make_request
from proxy.http.response_rules import UpgradeAsked, make_response

_LENGTH = Framing.LENGTH  # looking up a member in the class takes 50 ns

_METHODS = frozenset(
    b"GET HEAD POST PUT DELETE OPTIONS TRACE PATCH PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK "
    b"SEARCH REPORT PURGE".split()
)
"""Methods that llhttp knows. It refuses all others, which a proxy has to forward (RFC 9110
section 9.1), so it gets to see POST instead; the grammar has checked the real one."""


class _Quiet:
    """Callbacks of llhttp that are None are never called: it only says yes or no."""

    on_message_begin = None
    on_url = None
    on_header = None
    on_status = None
    on_body = None
    on_headers_complete = None
    on_message_complete = None
    on_chunk_header = None
    on_chunk_complete = None


_QUIET = _Quiet()


class _Sink(_Quiet):
    """Keeps every field, for the heads off the fast path."""

    def __init__(self) -> None:
        self.fields: list[Field] = []
        self.on_header = self._on_header  # type: ignore[assignment]

    def _on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name.lower(), name, value))


def _passed_on(head: bytes) -> Fields:
    """The fields of a head that grammar and llhttp have accepted."""
    return Fields([(name.lower(), name, value) for name, value in special_fields(head)], head)


class HttptoolsCodec:
    """See proxy.http.codec.Codec."""

    name = "httptools"
    remembers = True

    def parse_request(self, head: bytes, limits: Limits) -> RequestHead:
        size = len(head)
        if size > limits.max_request_bytes:
            raise HttpError(
                400, "RequestLength", f"The head is longer than {limits.max_request_bytes} bytes."
            )
        match = grammar.request_head(head)
        if match is None:
            return self._uncommon_request(head, limits)
        method, target, minor = match.groups()
        try:
            HttpRequestParser(_QUIET).feed_data(
                head if method in _METHODS else b"POST" + head[len(method) :]
            )
        except HttpParserUpgrade:
            pass  # llhttp stops after the head of an upgrade, which is all that it was given
        except HttpParserError:
            return self._uncommon_request(head, limits)
        return make_request(method, target, minor, _passed_on(head), size, limits, True)

    def _uncommon_request(self, head: bytes, limits: Limits) -> RequestHead:
        """A legal head off the fast path, or the words for one that is refused."""
        method, target, minor, fields = strict.split_request(head)
        request = make_request(method, target, minor, Fields(fields), len(head), limits, False)
        sink = _Sink()
        method = method if method in _METHODS else b"POST"
        try:
            HttpRequestParser(sink).feed_data(
                _plain_head(b"%b %b HTTP/1.%b\r\n" % (method, target, minor), fields)
            )
        except HttpParserUpgrade:
            pass
        except HttpParserError:
            raise HttpError(400, "BadRequest", "The HTTP parser refused the request.") from None
        if sink.fields != fields:
            raise HttpError(400, "BadRequest", "The fields of the request are ambiguous.")
        return request

    def parse_response(
        self, head: bytes, request_method: bytes, *, upgrade_asked: UpgradeAsked, limits: Limits
    ) -> ResponseHead:
        size = len(head)
        if size > limits.max_response_head:
            raise UpstreamError(f"The head is longer than {limits.max_response_head} bytes.")
        match = grammar.response_head(head)
        if match is None or match[3] is None:
            return self._uncommon_response(head, request_method, upgrade_asked, limits)
        minor, status, reason = match.groups()
        try:
            HttpResponseParser(_QUIET).feed_data(head)
        except HttpParserUpgrade:
            pass
        except HttpParserError:
            return self._uncommon_response(head, request_method, upgrade_asked, limits)
        return make_response(
            minor,
            int(status),
            reason,
            _passed_on(head),
            request_method,
            upgrade_asked,
            size,
            limits,
        )

    def _uncommon_response(
        self, head: bytes, request_method: bytes, upgrade_asked: UpgradeAsked, limits: Limits
    ) -> ResponseHead:
        """As _uncommon_request."""
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
        sink = _Sink()
        start = b"HTTP/1.%b %b %b\r\n" % (minor, status, reason)
        try:
            HttpResponseParser(sink).feed_data(_plain_head(start, fields))
        except HttpParserUpgrade:
            pass
        except HttpParserError:
            raise UpstreamError("The HTTP parser refused the upstream's response.") from None
        if sink.fields != fields:
            raise UpstreamError("The fields of the response are ambiguous.")
        return response

    def request_body(self, head: RequestHead, limits: Limits) -> BodyReader | None:
        if head.content_length:
            return LengthReader(head.content_length, client_error)
        if head.chunked:
            return ChunkedReader(
                client_error, limits.max_trailer_bytes, drop_forbidden_trailers=False
            )
        return None

    def response_body(self, head: ResponseHead, limits: Limits) -> BodyReader | None:
        framing = head.framing
        if framing is _LENGTH:
            length = head.content_length
            return LengthReader(length, upstream_error) if length else None
        if framing is Framing.CHUNKED:
            return ChunkedReader(
                upstream_error, limits.max_trailer_bytes, drop_forbidden_trailers=True
            )
        return CloseReader() if framing is Framing.CLOSE else None


def _plain_head(start_line: bytes, fields: list[Field]) -> bytes:
    """The head without optional white space, some of which llhttp refuses or leaves in values."""
    lines = [name + b": " + value + b"\r\n" for _, name, value in fields]
    return start_line + b"".join(lines) + b"\r\n"
