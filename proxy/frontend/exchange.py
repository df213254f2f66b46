"""One request to the upstream and its response back, streamed both ways.

    request   HttpConnection.plaintext → request_body → upstream channel
    response  upstream channel → upstream_received → engine.write

Whoever reads slowly pauses the other side: the upstream's backlog pauses the engine, the engine's
backlog pauses the upstream. What is complete is told by framing alone; a response that is cut
short ends the client's connection without its last chunk, close_notify or FIN.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from proxy.http.bodies import BodyReader, LengthReader
from proxy.http.forward import encode_chunks, last_chunk
from proxy.http.messages import Framing, HttpError, RequestHead, ResponseHead, UpstreamError
from proxy.http.pages import body_size, error_response
from proxy.upstream.connection import HEADROOM, VIEW, UpstreamConnection
from proxy.upstream.pool import Connecting

if TYPE_CHECKING:
    from proxy.frontend.http_connection import HttpConnection

log = logging.getLogger("kssl")

# Looking up a member in the class takes 50 ns.
_NONE = Framing.NONE
_LENGTH = Framing.LENGTH
_CHUNKED = Framing.CHUNKED

# RFC 9110 §9.2.2. Only these are sent again when a kept-alive connection turns out to be closed:
# of another request nobody can tell whether the app has acted on it.
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))

# What is kept to be sent again, in bytes; a longer beginning of a body is not.
_MAX_REPLAY = 64 * 1024


class Exchange:
    """Created with a parsed request head; `start` sends it on."""

    __slots__ = (
        "_body_sent",
        "_client_chunked",
        "_connecting",
        "_connection",
        "_head",
        "_keep_alive",
        "_outbox",
        "_reader",
        "_replay",
        "_response",
        "_response_reader",
        "_upstream",
        "request_done",
    )

    def __init__(self, connection: HttpConnection, head: RequestHead) -> None:
        self._connection = connection
        self._head = head
        self._reader: BodyReader | None = None
        if head.content_length or head.chunked:
            self._reader = connection.front.codec.request_body(head, connection.front.limits)
        self.request_done = self._reader is None
        self._upstream: UpstreamConnection | None = None
        self._connecting: Connecting | None = None
        self._outbox: bytearray | None = None  # waits for the connection to the upstream
        self._replay: bytes | None = None  # all that was sent, while it could be sent again
        self._response: ResponseHead | None = None
        self._response_reader: BodyReader | None = None
        self._client_chunked = False
        self._keep_alive = False
        self._body_sent = 0

    # -- request ---------------------------------------------------------------------------

    def start(self, first: bytes, data: memoryview) -> int:
        """Sends ``first``, the head, and what of ``data`` is body; returns how much that is."""
        connection = self._connection
        front = connection.front
        connection.deadline = front.response_deadline
        used = 0
        if not self.request_done:
            try:
                body, used = self._encode_body(data)
            except HttpError as error:
                connection.refuse(error, self._request_line())
                return 0
            first += body
        upstream = front.pool.take()
        if upstream is not None:
            if self._head.method in _IDEMPOTENT and len(first) <= _MAX_REPLAY:
                self._replay = first
            self._use(upstream)
            self._send(first)
        else:
            self._connect(first)
        return used

    def _connect(self, first: bytes) -> None:
        self._outbox = bytearray(first)
        self._connecting = self._connection.front.pool.connect(self)
        if not self.request_done:
            self._connection.engine.pause_reading()

    def request_body(self, data: memoryview) -> int:
        """More plaintext while the request is not done; returns the bytes that are body."""
        connection = self._connection
        connection.deadline = connection.front.body_deadline
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

    def _body_refused(self, error: HttpError) -> None:
        """The upstream must not take what it has for a complete request: its connection ends
        before any last chunk. The client gets the reason if no response has begun."""
        connection = self._connection
        if self._response is None:
            connection.refuse(error, self._request_line())
        else:
            self.log(error.status)
            connection.abort()

    def _send(self, data: bytes | bytearray | memoryview) -> None:
        if self._outbox is not None:
            self._outbox += data
            return
        if self._upstream is not None:
            channel = self._upstream.channel
            channel.send(data)
            if not self.request_done and channel.backlog:
                self._connection.engine.pause_reading()

    def upstream_drained(self) -> None:
        if not self.request_done:
            self._connection.engine.resume_reading()

    # -- the upstream connection -----------------------------------------------------------

    def upstream_connected(self, connection: UpstreamConnection) -> None:
        self._connecting = None
        self._use(connection)
        outbox, self._outbox = self._outbox, None
        assert outbox is not None
        self._send(outbox)
        if not self.request_done and not connection.channel.backlog:
            self._connection.engine.resume_reading()

    def upstream_refused(self, reason: str, *, timed_out: bool) -> None:
        self._connecting = None
        target = self._connection.front.pool.target
        log.error("upstream %s: %s", target, reason)
        if timed_out:
            self._gateway_error(504, f"The app at {target} did not answer: {reason}.")
        else:
            self._gateway_error(502, f"The app at {target} cannot be reached: {reason}.")

    def _use(self, upstream: UpstreamConnection) -> None:
        self._upstream = upstream
        upstream.user = self

    def upstream_closed(self, error: str | None) -> None:
        """The upstream ended; whether that is an end or a cut depends on what was due."""
        upstream, self._upstream = self._upstream, None
        if self._response is None:
            if upstream is not None and upstream.reused and self._replay and not upstream.partial:
                replay, self._replay = self._replay, None
                self._connect(replay)
                return
            target = self._connection.front.pool.target
            what = error or "closed the connection"
            log.error("upstream %s: %s before it answered", target, what)
            self._gateway_error(502, f"The app at {target} {what} before it answered.")
            return
        reader = self._response_reader
        try:
            if error is not None or reader is None:
                raise UpstreamError(error or "closed the connection")
            reader.feed_eof()
        except UpstreamError as problem:
            self._cut_short(problem)
            return
        self._finish_response()

    # -- response --------------------------------------------------------------------------

    def upstream_received(self, end: int) -> None:
        connection = self._connection
        try:
            if self._response is None:
                self._response_head(end)
            else:
                self._response_body(HEADROOM, HEADROOM, end)
            if self._upstream is not None:  # there is more to come
                connection.deadline = connection.front.response_deadline
        except UpstreamError as problem:
            if self._response is None:
                target = connection.front.pool.target
                log.error("upstream %s: %s", target, problem)
                self._gateway_error(502, f"The app at {target} sent a bad answer: {problem}")
            else:
                self._cut_short(problem)
        except Exception:
            connection.bug("while reading a response")

    def _response_head(self, end: int) -> None:
        """Looks for the head in what came; passes interim responses on; starts the body."""
        connection = self._connection
        front = connection.front
        start = HEADROOM
        while True:
            assert self._upstream is not None
            raw, start = self._upstream.next_head(start, end, front.limits.max_response_head)
            if raw is None:
                return
            response = self._upstream.memo.parse(
                raw,
                self._head,
                self._head.keep_alive and not front.stopping,
                front.codec,
                front.limits,
            )
            head = response.head
            if head.status == 101:
                self._switch(response.text, start, end)
                return
            if head.status >= 200:
                break
            if self._head.version == b"1.1":
                connection.write(response.text)
        self._response = head
        self._keep_alive = response.keep_alive
        text = response.text
        # Written in front of the body that came along, so that both are sealed as one.
        first = start - len(text)
        if first >= 0:
            VIEW[first:start] = text
            if head.framing is _LENGTH and head.content_length == end - start:
                # The whole of it is here, as of most responses: nothing to keep track of.
                self._body_sent = end - start
                connection.engine.write(VIEW[first:], end - first)
                self._finish_response()
                return
        else:
            connection.write(text)
            first = start
        self._client_chunked = response.framing is _CHUNKED
        self._response_reader = front.codec.response_body(head, front.limits)
        self._response_body(first, start, end)

    def _response_body(self, front: int, start: int, end: int) -> None:
        """Sends ``BUFFER[front:start]``, the head if it is new, and the body in ``[start:end]``."""
        connection, reader = self._connection, self._response_reader
        engine = connection.engine
        if reader is None:
            surplus, done = start < end, True
            if start > front:
                engine.write(VIEW[front:], start - front)
        else:
            pieces, used = reader.feed(VIEW[start:end])
            surplus, done = start + used < end, reader.done
            if type(reader) is LengthReader:
                # Its one piece stands right behind the head, if there is one.
                self._body_sent += used
                if start - front + used:
                    engine.write(VIEW[front:], start - front + used)
            else:
                self._write_pieces(bytes(VIEW[front:start]), pieces)
        if done:
            self._finish_response(surplus=surplus)
        elif engine.congested and self._upstream is not None:
            self._upstream.channel.stop_reading()

    def _write_pieces(self, head: bytes, pieces: list[memoryview]) -> None:
        self._body_sent += sum(map(len, pieces))
        body = encode_chunks(pieces) if self._client_chunked else b"".join(pieces)
        if head or body:
            self._connection.write(head + body)

    def client_writable(self) -> None:
        if self._upstream is not None:
            self._upstream.channel.start_reading()

    def _finish_response(self, *, surplus: bool = False) -> None:
        connection = self._connection
        reader = self._response_reader
        if self._client_chunked and reader is not None:
            connection.write(last_chunk(reader.trailers))
        response = self._response
        assert response is not None
        self.log(response.status)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            # A body that may not be there (HEAD, 304) would be the next client's answer.
            doubtful = response.framing is _NONE and bool(response.content_length)
            if response.keep_alive and self.request_done and not surplus and not doubtful:
                connection.front.pool.release(upstream, connection.front.deadlines.now)
            else:
                upstream.close()
        connection.exchange_done(self._keep_alive and self.request_done)

    def _switch(self, text: bytes, start: int, end: int) -> None:
        """101: the connection becomes a tunnel (RFC 9110 §7.8)."""
        connection = self._connection
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        connection.write(text)
        if start < end:
            connection.write(bytes(VIEW[start:end]))
        connection.become_tunnel(upstream, self._head, end - start)

    # -- when it goes wrong ----------------------------------------------------------------

    def expired(self) -> None:
        """Nothing moved for as long as the limits allow."""
        if self._response is not None and self._connection.engine.backlog:
            log.warning("%s took nothing for too long", self._connection.client.address)
            self.log(self._response.status)
            self._connection.abort()
        elif self._response is not None:
            self._cut_short(UpstreamError("stood still in the middle of the response"))
        elif not self.request_done and not self._upstream_owes():
            self._connection.refuse(
                HttpError(408, "Timer_EntityBody", "The request body came too slowly."),
                self._request_line(),
            )
        else:
            target = self._connection.front.pool.target
            log.error("upstream %s: no answer in time", target)
            self._gateway_error(504, f"The app at {target} did not answer in time.")

    def _upstream_owes(self) -> bool:
        """Whether the client waits for the upstream, and could not send on if it wanted to."""
        if self._upstream is None:
            return False
        waits = (
            self._head.expect_continue and self._reader is not None and not self._reader.received
        )
        return waits or self._upstream.channel.backlog > 0

    def _gateway_error(self, status: int, detail: str) -> None:
        connection = self._connection
        keep_alive = self.request_done and self._head.keep_alive
        page = error_response(
            status,
            detail=detail,
            keep_alive=keep_alive,
            head_only=self._head.method == b"HEAD",
        )
        self._body_sent = body_size(page)
        self.log(status)
        self.cancel()  # a connection that opens later must not come to this exchange any more
        connection.write(page)
        connection.exchange_done(keep_alive)

    def _cut_short(self, problem: UpstreamError) -> None:
        target = self._connection.front.pool.target
        log.error(
            "upstream %s: response cut short after %d bytes: %s", target, self._body_sent, problem
        )
        assert self._response is not None
        self.log(self._response.status)
        self._connection.abort()

    def cancel(self) -> None:
        """The exchange is over, and so is the upstream connection, for its request is aborted."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        self._drop_upstream()

    def _drop_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.close()

    # -- the log ---------------------------------------------------------------------------

    def _request_line(self) -> bytes:
        return b"%b %b HTTP/%b" % (self._head.method, self._head.target, self._head.version)

    def log(self, status: int) -> None:
        connection = self._connection
        access_log = connection.front.access_log
        if access_log.enabled:
            access_log.write(
                connection.peer,
                self._request_line(),
                status,
                self._body_sent,
                self._head.fields.get(b"referer"),
                self._head.fields.get(b"user-agent"),
                connection.session_text,
            )
