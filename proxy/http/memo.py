"""What the last head of a connection came to, for the next one that is the same.

The requests of one client differ in their request line and seldom in the fields below it: that is
what HPACK (RFC 7541) lives on. So a connection remembers its last block of fields with all that
was found out about it, and checks only the new request line. Responses of one upstream connection
are compared whole.

Nothing is accepted here that a codec has not accepted: a request line that matches the strict
grammar in front of a block that passed every rule is a head that passes every rule, as long as no
rule looks at both. Those that do (absolute-form and Host, HTTP/1.0 and framing, CONNECT) keep a
head from being remembered, and so do bodies, upgrades and expectations. The rules of the path
(url.py) are applied here, to every target that is new.
"""

from __future__ import annotations

from kssl.proxy.http import grammar
from kssl.proxy.http.codec import Codec
from kssl.proxy.http.forward import (
    ClientInfo,
    build_client_response,
    build_upstream_request,
    client_framing,
)
from kssl.proxy.http.messages import Fields, Framing, Limits, RequestHead, ResponseHead
from kssl.proxy.http.policy import ResponsePolicy

# A longer head is not remembered, in bytes: it would be kept for each idle connection.
MAX_REMEMBERED = 4096


class RequestMemo:
    """Of one client connection. With other `limits` it takes another memo."""

    __slots__ = (
        "_block",
        "_client",
        "_codec",
        "_default_host",
        "_last",
        "_raw",
        "_sent",
        "limits",
    )

    def __init__(
        self, codec: Codec, limits: Limits, client: ClientInfo, default_host: bytes
    ) -> None:
        self._codec = codec
        self.limits = limits
        self._client = client
        self._default_host = default_host
        self._raw = b""  # the last head
        self._last: tuple[RequestHead, bytes] | None = None  # what it came to
        self._block = b""  # its fields, from the CRLF in front of them
        self._sent = b""  # what was sent for them

    def parse(self, raw: bytes) -> tuple[RequestHead, bytes]:
        """A complete head → what it says, and the head for the upstream. Raises HttpError."""
        last = self._last
        if last is not None:
            if raw == self._raw:
                return last
            if raw.endswith(self._block):
                line = raw[: -len(self._block)]
                match = grammar.common_request_line(line)
                if match is not None:
                    self.limits.url.check(match[2])
                    last = _below(last[0], raw, match[1], match[2]), line + self._sent
                    if len(raw) <= MAX_REMEMBERED:
                        self._raw, self._last = raw, last
                    return last
        head = self._codec.parse_request(raw, self.limits)
        self.limits.url.check(head.target)
        sent = build_upstream_request(head, self._client, default_host=self._default_host)
        if self._codec.remembers and len(raw) <= MAX_REMEMBERED:
            end = raw.find(b"\r\n")
            if _is_common(head, raw, end):
                self._raw, self._last = raw, (head, sent)
                self._block = raw[end:]
                self._sent = sent[sent.find(b"\r\n") :]
        return head, sent


def _below(last: RequestHead, raw: bytes, method: bytes, target: bytes) -> RequestHead:
    """The fields of ``last`` below the request line of ``raw``."""
    return RequestHead(
        method,
        target,
        b"1.1",
        Fields(None, raw),
        last.host,
        None,
        False,
        last.keep_alive,
        None,
        False,
        last.connection_options,
    )


def _is_common(head: RequestHead, raw: bytes, end: int) -> bool:
    """Whether the fields would mean the same below another request line; ``end``: of this one."""
    if head.content_length is not None or head.chunked:
        return False
    # A head of the usual kind (usual.py) fulfils the rest.
    return bool(head.fields.passed_on) or (
        head.version == b"1.1"
        and head.upgrade is None
        and not head.expect_continue
        and grammar.common_request_line(raw, 0, end) is not None
    )


class Response:
    """A parsed response head and what the client gets of it."""

    __slots__ = ("framing", "head", "keep_alive", "text")

    def __init__(self, head: ResponseHead, framing: Framing, keep_alive: bool, text: bytes) -> None:
        self.head = head
        self.framing = framing
        self.keep_alive = keep_alive
        self.text = text


class ResponseMemo:
    """Of one upstream connection, which may serve clients of several sites."""

    __slots__ = ("_key", "_policy", "_raw", "_response")

    def __init__(self) -> None:
        self._raw = b""
        self._key: tuple[bool, bytes, bool] | None = None
        self._policy: ResponsePolicy | None = None
        self._response: Response | None = None

    def parse(
        self,
        raw: bytes,
        request: RequestHead,
        keep_alive: bool,
        codec: Codec,
        limits: Limits,
        policy: ResponsePolicy | None = None,
    ) -> Response:
        """A complete head; ``keep_alive``: whether the client's connection could stay open.

        policy: of the client's site. For 1xx, ``text`` is the interim response.
        Raises UpstreamError.
        """
        to_head = request.method == b"HEAD"
        if raw == self._raw and policy is self._policy:
            remembered = self._response
            if remembered is not None and self._key == (to_head, request.version, keep_alive):
                return remembered
        head = codec.parse_response(
            raw, request.method, upgrade_asked=request.upgrade, limits=limits
        )
        interim = head.status < 200
        framing, may_keep_alive = client_framing(head, request.version, request.method)
        stays = keep_alive and may_keep_alive
        text = build_client_response(
            head,
            client_version=request.version,
            keep_alive=stays,
            framing=Framing.NONE if interim else framing,
            interim=interim,
            policy=policy,
        )
        response = Response(head, framing, stays, text)
        if codec.remembers and not interim and len(raw) <= MAX_REMEMBERED:
            self._raw, self._response = raw, response
            self._key = to_head, request.version, keep_alive
            self._policy = policy
        return response
