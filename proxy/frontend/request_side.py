"""The request's half of an exchange: to an upstream of its site, streamed.

    HttpConnection.plaintext → request_body → upstream channel

An upstream that refuses the connection has seen nothing, so the next one of the site is tried. One
that closes a kept-alive connection may have seen all of it, so only idempotent requests are sent
again; except on a connection that turns out to be of no use before anything was sent on it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kssl.fastpath.logs.messages import limited
from kssl.proxy.frontend.draining import MAX_DRAIN
from kssl.proxy.frontend.expectation import CONTINUE, Expectation
from kssl.proxy.frontend.router import Route
from kssl.proxy.frontend.site import SiteFront
from kssl.proxy.http.bodies import BodyReader, LengthReader
from kssl.proxy.http.forward import encode_chunks, last_chunk, without_trailer_field
from kssl.proxy.http.messages import HttpError, RequestHead
from kssl.proxy.journal.record import RequestRecord
from kssl.proxy.upstream.connecting import Attempt
from kssl.proxy.upstream.connection import UpstreamConnection
from kssl.proxy.upstream.pool import Pool

if TYPE_CHECKING:
    from kssl.proxy.frontend.http_connection import HttpConnection

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
        "_expects",
        "_head",
        "_interim",
        "_outbox",
        "_pool",
        "_reader",
        "_replay",
        "_site",
        "_upstream",
        "record",
        "request_done",
        "route",
    )

    record: RequestRecord
    route: Route
    request_done: bool
    _connection: HttpConnection
    _head: RequestHead
    _site: SiteFront  # the route's
    _reader: BodyReader | None
    _expects: Expectation | None  # None: the client does not wait with its body
    _pool: Pool  # from `start` on
    _upstream: UpstreamConnection | None
    _connecting: Attempt | None
    _outbox: bytearray | None  # waits for the connection to the upstream
    _interim: int  # 1xx answers since the client has last sent anything
    _replay: bytes | None  # all that was sent, while it could be sent again

    def start(self, first: bytes, data: memoryview) -> int:
        """Sends ``first``, the head, and what of ``data`` is body; returns how much that is."""
        connection = self._connection
        connection.deadline = connection.front.response_deadline
        group = self._site.group
        self._pool = group.only or group.next(self, connection.front.deadlines.now)
        used = 0
        if not self.request_done:
            if self._head.chunked and not self._site.site.pass_trailers:
                first = without_trailer_field(first)
            try:
                body, used = self._encode_body(data)
            except HttpError as error:
                connection.refuse(error, self.record)
                return 0
            first += body
        if not self._use_idle(first):
            self._connect(first)
        elif not self.request_done:
            self._await_continue()
            self._set_deadline()
        return used

    def _may_repeat(self, upstream: UpstreamConnection) -> bool:
        """Whether the request may be sent again, after it was sent on ``upstream`` in vain."""
        if not upstream.reused or upstream.partial:
            return False
        return upstream.untouched or self._head.method in _IDEMPOTENT

    def _unsure(self) -> str:
        """For the page about a request that the app has got, in whole or in part, and that has no
        answer. An idempotent one may be sent again, whatever the app has done (RFC 9110 §9.2.2)."""
        if self._head.method in _IDEMPOTENT:
            return ""
        return (
            " The app may or may not have acted on this request: find out before you send it again."
        )

    def _use_idle(self, first: bytes) -> bool:
        """Sends all that there is on a kept-alive connection, if there is one."""
        upstream = self._pool.take(len(first))
        if upstream is None:
            return False
        if len(first) <= _MAX_REPLAY:
            self._replay = first
        self._upstream = upstream
        upstream.user = self
        if self.request_done:
            upstream.channel.send(first)  # nothing follows that might have to wait
        else:
            self._send(first)
        return True

    def _connect(self, first: bytes) -> None:
        self._outbox = bytearray(first)
        group, pool, front = self._site.group, self._pool, self._connection.front
        if not front.make_room():  # not from within `start`, which has more to do
            self._connecting = front.loop.call_soon(self._no_file_left)
        elif group.only is None:
            self._connecting = group.connect(front.loop, pool, self)
        else:
            self._connecting = pool.connect(self)
        if not self.request_done:
            self._connection.pause_body()

    # -- the body --------------------------------------------------------------------------

    def request_body(self, data: memoryview) -> int:
        """More plaintext while the request is not done; returns the bytes that are body, or fewer
        when those were a quantum."""
        self._replay = None
        self._interim = 0
        if self._expects is not None:
            self._expects.cancel()  # it does not wait
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
                body += last_chunk(reader.trailers if self._site.site.pass_trailers else ())
        return body, used

    @property
    def _trailers_passed(self) -> bool:
        """The app has got trailers. Some take them for fields of the next request on the
        connection, or for the request itself, so that must not be another client's."""
        reader = self._reader
        return reader is not None and bool(reader.trailers) and self._site.site.pass_trailers

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
        if connection.engine.congested and self._writes:  # else an earlier response waits there
            connection.deadline = front.look_deadline
        elif self.request_done or self._upstream_owes():
            connection.deadline = front.response_deadline
        else:
            connection.deadline = front.body_deadline

    def _upstream_owes(self) -> bool:
        """Whether the client waits for the upstream, and could not send on if it wanted to."""
        if self._upstream is None:
            return True  # it is being connected to, and reading is paused
        return self._client_waits() or self._upstream.channel.backlog > 0

    def _client_waits(self) -> bool:
        """Whether the client may be waiting for 100 before it sends its body."""
        expects, reader = self._expects, self._reader
        return (
            expects is not None and not expects.met and reader is not None and not reader.received
        )

    def _await_continue(self) -> None:
        """The app has the head, and with it the client's expectation, if it has one."""
        if self._expects is not None and self._client_waits():
            self._expects.watch(self._connection.front.loop, self._continue)

    def _continue(self) -> None:
        """The app has not said 100 in time, nor anything else."""
        if self._expects is not None and self._expects.meet():
            self._connection.write(CONTINUE)
            self._set_deadline()

    def _body_will_end(self) -> bool:
        """Whether the rest of the body will be read if its response is over first (`Drain`).

        Behind an answer in place of 100 the body may come, or the next request: RFC 9110 §10.1.1
        leaves that to the client, so nothing can follow.
        """
        reader, length = self._reader, self._head.content_length
        if reader is None or length is None:
            return not self._client_waits()
        return length - reader.received <= MAX_DRAIN and not self._client_waits()

    # -- the upstream connection -----------------------------------------------------------

    def upstream_connected(self, pool: Pool, connection: UpstreamConnection) -> None:
        self._connecting = None
        self._pool = pool
        self._upstream = connection
        connection.user = self
        outbox, self._outbox = self._outbox, None
        assert outbox is not None
        if connection.reused and len(outbox) <= _MAX_REPLAY:
            self._replay = bytes(outbox)
        self._connection.deadline = self._connection.front.response_deadline
        self._send(outbox)
        self._read_on()

    def _read_on(self) -> None:
        """After the pause of `_connect`."""
        upstream = self._upstream
        if not self.request_done and upstream is not None and not upstream.channel.backlog:
            self._connection.resume_body()
            self._await_continue()
            self._set_deadline()

    def upstream_refused(self, pool: Pool, reason: str, *, timed_out: bool) -> None:
        self._connecting = None
        self._pool = pool
        of_kind = limited(f"upstream {pool.target}")
        log.error("upstream %s: %s", pool.target, reason, extra=of_kind)
        if timed_out:
            self._gateway_error(504, f"The app at {pool.target} did not answer: {reason}.")
        else:
            self._gateway_error(502, f"The app at {pool.target} cannot be reached: {reason}.")

    def _no_file_left(self) -> None:
        """Another upstream would need a descriptor as well."""
        self._connecting = None
        limit = self._connection.front.capacity.files.total
        self._gateway_error(
            503,
            f"The proxy has as many connections as its limit of open files ({limit}) allows.",
            "QueueFull",
        )

    def cancel(self) -> None:
        """The exchange is over, and so is the upstream connection, for its request is aborted."""
        if not self.record.finished:
            self.record.finish(0)  # nobody has said why
        if self._expects is not None:
            self._expects.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        self._pool.health.give_back(self)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.let_go(complete=self.request_done)

    @property
    def held(self) -> int:
        """Bytes that wait for the app, or came from it and wait for the client."""
        waiting = len(self._outbox) if self._outbox is not None else 0
        return waiting + (self._upstream.channel.held if self._upstream is not None else 0)

    # -- what `Exchange` does --------------------------------------------------------------

    @property
    def _writes(self) -> bool:
        """The client has something of this exchange to read."""
        raise NotImplementedError

    def upstream_received(self, end: int) -> None:
        raise NotImplementedError

    def upstream_closed(self, error: str | None, *, truncated: bool) -> None:
        raise NotImplementedError

    def _body_refused(self, error: HttpError) -> None:
        raise NotImplementedError

    def _gateway_error(self, status: int, detail: str, reason: str = "Upstream") -> None:
        raise NotImplementedError
