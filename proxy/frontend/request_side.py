"""The request's half of an exchange: to an upstream of its site, streamed.

    HttpConnection.plaintext → request_body → upstream channel

An upstream that refuses the connection has seen nothing, so the next one of the site is tried. One
that closes a kept-alive connection may have seen all of it, so only idempotent requests are sent
again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from proxy.frontend.site import SiteFront
from proxy.http.bodies import BodyReader, LengthReader
from proxy.http.forward import encode_chunks, last_chunk
from proxy.http.messages import HttpError, RequestHead
from proxy.upstream.connection import UpstreamConnection
from proxy.upstream.pool import Connecting, Pool

if TYPE_CHECKING:
    from proxy.frontend.http_connection import HttpConnection

log = logging.getLogger("kssl")

# RFC 9110 §9.2.2. Only these are sent again when a kept-alive connection turns out to be closed:
# of another request nobody can tell whether the app has acted on it.
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))

# What is kept to be sent again, in bytes; a longer beginning of a body is not.
_MAX_REPLAY = 64 * 1024


class RequestSide:
    """Base of `Exchange`, which says what becomes of a request that fails."""

    __slots__ = (
        "_connecting",
        "_connection",
        "_continued",
        "_head",
        "_outbox",
        "_pool",
        "_reader",
        "_replay",
        "_site",
        "_tried",
        "_upstream",
        "request_done",
    )

    def __init__(self, connection: HttpConnection, head: RequestHead, site: SiteFront) -> None:
        self._connection = connection
        self._head = head
        self._site = site
        self._reader: BodyReader | None = None
        if head.content_length or head.chunked:
            reader = connection.front.codec.request_body(head, connection.front.limits)
            # A length has been looked at with the head.
            if head.chunked and reader is not None and site.rules.body_limit:
                reader = site.rules.limited(reader)
            self._reader = reader
        self.request_done = self._reader is None
        self._continued = not head.expect_continue  # the client need not wait with its body
        self._pool: Pool
        self._tried: list[Pool] | None = None  # those that refused
        self._upstream: UpstreamConnection | None = None
        self._connecting: Connecting | None = None
        self._outbox: bytearray | None = None  # waits for the connection to the upstream
        self._replay: bytes | None = None  # all that was sent, while it could be sent again

    def start(self, first: bytes, data: memoryview) -> int:
        """Sends ``first``, the head, and what of ``data`` is body; returns how much that is."""
        connection = self._connection
        connection.deadline = connection.front.response_deadline
        used = 0
        if not self.request_done:
            try:
                body, used = self._encode_body(data)
            except HttpError as error:
                connection.refuse(error, self._request_line())
                return 0
            first += body
        group = self._site.group
        self._pool = group.only or group.next(connection.front.deadlines.now)
        if not self._use_idle(first):
            self._connect(first)
        elif not self.request_done:
            self._set_deadline()
        return used

    def _use_idle(self, first: bytes) -> bool:
        """Sends all that there is on a kept-alive connection, if there is one."""
        upstream = self._pool.take()
        if upstream is None:
            return False
        if self._head.method in _IDEMPOTENT and len(first) <= _MAX_REPLAY:
            self._replay = first
        self._upstream = upstream
        upstream.user = self
        self._send(first)
        return True

    def _connect(self, first: bytes) -> None:
        self._outbox = bytearray(first)
        self._connecting = self._pool.connect(self)
        if not self.request_done:
            self._connection.pause_body()

    # -- the body --------------------------------------------------------------------------

    def request_body(self, data: memoryview) -> int:
        """More plaintext while the request is not done; returns the bytes that are body, or fewer
        when those were a quantum."""
        self._replay = None
        try:
            if type(self._reader) is LengthReader:
                pieces, used = self._reader.feed(data)
                self.request_done = self._reader.done
                for piece in pieces:
                    self._send(piece)
            else:
                body, used = self._encode_body(data)
                self._send(body)
        except HttpError as error:
            self._body_refused(error)
            return len(data)
        self._set_deadline()
        return used

    def _encode_body(self, data: memoryview) -> tuple[bytes, int]:
        """Body bytes as the upstream gets them. Raises HttpError for bad chunks."""
        reader = self._reader
        assert reader is not None
        pieces, used = reader.feed(data)
        body = encode_chunks(pieces) if self._head.chunked else b"".join(pieces)
        if reader.done:
            self.request_done = True
            if self._head.chunked:
                body += last_chunk(reader.trailers)
        return body, used

    def _send(self, data: bytes | bytearray | memoryview) -> None:
        if self._outbox is not None:
            self._outbox += data
            return
        if self._upstream is not None:
            channel = self._upstream.channel
            channel.send(data)
            if not self.request_done and channel.backlog:
                self._connection.pause_body()

    def upstream_drained(self) -> None:
        if not self.request_done:
            self._connection.resume_body()
            self._set_deadline()

    def _set_deadline(self) -> None:
        """Of the client, which has to read, or to send the rest of its body; or of the upstream."""
        connection = self._connection
        front = connection.front
        if connection.engine.congested:
            connection.deadline = front.look_deadline
        elif self.request_done or self._upstream_owes():
            connection.deadline = front.response_deadline
        else:
            connection.deadline = front.body_deadline

    def _upstream_owes(self) -> bool:
        """Whether the client waits for the upstream, and could not send on if it wanted to."""
        if self._upstream is None:
            return True  # it is being connected to, and reading is paused
        waits = not self._continued and self._reader is not None and not self._reader.received
        return waits or self._upstream.channel.backlog > 0

    # -- the upstream connection -----------------------------------------------------------

    def upstream_connected(self, connection: UpstreamConnection) -> None:
        self._connecting = None
        self._upstream = connection
        connection.user = self
        outbox, self._outbox = self._outbox, None
        assert outbox is not None
        self._send(outbox)
        self._read_on()

    def _read_on(self) -> None:
        """After the pause of `_connect`."""
        upstream = self._upstream
        if not self.request_done and upstream is not None and not upstream.channel.backlog:
            self._connection.resume_body()
            self._set_deadline()

    def upstream_refused(self, reason: str, *, timed_out: bool) -> None:
        self._connecting = None
        pool = self._pool
        if self._site.group.only is None and self._try_another(reason):
            return
        log.error("upstream %s: %s", pool.target, reason)
        if timed_out:
            self._gateway_error(504, f"The app at {pool.target} did not answer: {reason}.")
        else:
            self._gateway_error(502, f"The app at {pool.target} cannot be reached: {reason}.")

    def _try_another(self, reason: str) -> bool:
        """Goes on with an upstream that has not refused this request yet, if there is one."""
        connection = self._connection
        group, now = self._site.group, connection.front.deadlines.now
        group.refused(self._pool, reason, now)
        self._tried = [*(self._tried or ()), self._pool]
        other = group.instead(self._tried, now)
        if other is None:
            return False
        self._pool = other
        connection.deadline = connection.front.response_deadline
        outbox, self._outbox = self._outbox, None
        assert outbox is not None
        first = bytes(outbox)
        if self._use_idle(first):
            self._read_on()
        else:
            self._connect(first)
        return True

    def cancel(self) -> None:
        """The exchange is over, and so is the upstream connection, for its request is aborted."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.let_go(complete=self.request_done)

    def _request_line(self) -> bytes:
        return b"%b %b HTTP/%b" % (self._head.method, self._head.target, self._head.version)

    # -- what `Exchange` does --------------------------------------------------------------

    def upstream_received(self, end: int) -> None:
        raise NotImplementedError

    def upstream_closed(self, error: str | None, *, truncated: bool) -> None:
        raise NotImplementedError

    def _body_refused(self, error: HttpError) -> None:
        raise NotImplementedError

    def _gateway_error(self, status: int, detail: str) -> None:
        raise NotImplementedError
