"""The fast codec: llhttp through httptools, with one regular expression beside it.

A head is accepted when grammar, llhttp and rules all accept it. The regular expression is what
makes it strict, since llhttp alone takes folded lines and more. There are three ways, each of
which a head takes that the one before has no answer for:
    usual.py: its special fields are looked up; nearly all heads
    the rules: on the fields that the grammar has matched; HTTP/1.0, upgrades, Via
    strict.py: line by line, for a legal rarity or the words of a refusal
"""

from __future__ import annotations

from httptools import (
    HttpParserError,
    HttpParserUpgrade,
    HttpRequestParser,
    HttpResponseParser,
)

from kssl.proxy.http import grammar, strict
from kssl.proxy.http.bodies import BodyReader, CloseReader, LengthReader
from kssl.proxy.http.chunked import ChunkedReader
from kssl.proxy.http.errors import too_long_request, too_long_response
from kssl.proxy.http.messages import (
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
from kssl.proxy.http.shared_rules import surely_within
from kssl.proxy.http.usual import usual_request, usual_response

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


def _request_taken(head: bytes, method: bytes) -> bool:
    """Whether llhttp takes a head that the grammar has accepted."""
    try:
        HttpRequestParser(_QUIET).feed_data(
            head if method in _METHODS else b"POST" + head[len(method) :]
        )
    except HttpParserUpgrade:
        pass  # llhttp stops after the head of an upgrade, which is all that it was given
    except HttpParserError:
        return False
    return True


def _response_taken(head: bytes) -> bool:
    """As _request_taken."""
    try:
        HttpResponseParser(_QUIET).feed_data(head)
    except HttpParserUpgrade:
        pass
    except HttpParserError:
        return False
    return True


class HttptoolsCodec:
    """See kssl.proxy.http.codec.Codec."""

    name = "httptools"
    remembers = True

    def parse_request(self, head: bytes, limits: Limits) -> RequestHead:
        if len(head) > limits.max_request_bytes:
            raise too_long_request(limits.max_request_bytes)
        match = grammar.usual_request(head)
        if match is not None and surely_within(head, limits):
            method, target, host = match.groups()
            request = usual_request(head, method, target, host)
            if request is not None and _request_taken(head, method):
                return request
        match = grammar.request_head(head)
        if match is None:
            return self._uncommon_request(head, limits)
        method, target, minor = match.groups()
        if not _request_taken(head, method):
            return self._uncommon_request(head, limits)
        return make_request(method, target, minor, Fields(None, head), len(head), limits, True)

    def _uncommon_request(self, head: bytes, limits: Limits) -> RequestHead:
        """A legal head that the grammar does not match, or the words for one that is refused."""
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
        if len(head) > limits.max_response_head:
            raise UpstreamError(too_long_response(limits.max_response_head))
        match = grammar.usual_response(head)
        if match is not None and surely_within(head, limits):
            status, reason = match.groups()
            response = usual_response(head, status, reason, request_method == b"HEAD")
            if response is not None and _response_taken(head):
                return response
        match = grammar.response_head(head)
        if match is None or match[3] is None or not _response_taken(head):
            return self._uncommon_response(head, request_method, upgrade_asked, limits)
        minor, status, reason = match.groups()
        return make_response(
            minor,
            int(status),
            reason,
            Fields(None, head),
            request_method,
            upgrade_asked,
            len(head),
            limits,
        )

    def _uncommon_response(
        self, head: bytes, request_method: bytes, upgrade_asked: UpgradeAsked, limits: Limits
    ) -> ResponseHead:
        """As _uncommon_request; the head is repaired first."""
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
