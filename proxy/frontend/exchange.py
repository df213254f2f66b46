"""One request to the upstream and its response back, streamed both ways.

    request   HttpConnection.plaintext → request_body → upstream channel     `RequestSide`
    response  upstream channel → upstream_received → engine.write            `Exchange`

Whoever reads slowly pauses the other side: the upstream's backlog pauses the engine, the engine's
backlog pauses the upstream. What is complete is told by framing alone; a response that is cut
short ends the client's connection without its last chunk, close_notify or FIN.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kssl.fastpath.logs.messages import limited
from kssl.fastpath.net.quantum import INTERIM_RESPONSES
from kssl.proxy.frontend.draining import Drain
from kssl.proxy.frontend.expectation import Expectation
from kssl.proxy.frontend.request_side import RequestSide
from kssl.proxy.frontend.responses import own_page
from kssl.proxy.frontend.router import Route
from kssl.proxy.http.bodies import BodyReader, LengthReader
from kssl.proxy.http.forward import encode_chunks, last_chunk
from kssl.proxy.http.memo import Response
from kssl.proxy.http.messages import Framing, HttpError, RequestHead, ResponseHead, UpstreamError
from kssl.proxy.http.pages import body_size
from kssl.proxy.journal.closes import TRUNCATED
from kssl.proxy.journal.record import RequestRecord
from kssl.proxy.upstream.connection import HEADROOM, VIEW

if TYPE_CHECKING:
    from kssl.proxy.frontend.http_connection import HttpConnection

log = logging.getLogger("kssl")

MAX_INTERIM = 100
"""Interim (1xx) answers to one request, counted anew whenever the client has sent more of its body:
some apps tell of the progress of an upload by them. Each costs us the work for a whole head."""

# Looking up a member in the class takes 50 ns.
_LENGTH = Framing.LENGTH
_CHUNKED = Framing.CHUNKED


class Exchange(RequestSide):
    """Created with a parsed request head; `start` sends it on."""

    __slots__ = ("_client_chunked", "_keep_alive", "_response", "_response_reader")

    def __init__(self, connection: HttpConnection, head: RequestHead, route: Route) -> None:
        """``route`` leads to a site, and is given back by whoever made the exchange."""
        site = route.site
        assert site is not None
        self.record = RequestRecord(connection.front.journal, connection.info, site.site, head)
        self.route = route
        # All of `RequestSide`, too: another call is dear where each request makes it.
        self._connection = connection
        self._head = head
        self._site = site
        reader: BodyReader | None = None
        if head.content_length or head.chunked:
            front = connection.front
            reader = front.codec.request_body(head, front.limits)
            # A length has been looked at with the head.
            if head.chunked and site.rules.body_limit:
                reader = site.rules.limited(reader)
        self._reader = reader
        self.request_done = reader is None
        self._expects = Expectation() if head.expect_continue else None
        self._upstream = None
        self._connecting = None
        self._outbox = None
        self._interim = 0
        self._replay = None
        self._response: ResponseHead | None = None
        self._response_reader: BodyReader | None = None
        self._client_chunked = False
        self._keep_alive = False

    @property
    def responding(self) -> bool:
        """The client has got a part of the response."""
        return self._response is not None

    @property
    def _writes(self) -> bool:
        """A response, or interim ones that the client has not taken yet."""
        upstream = self._upstream
        return self._response is not None or (upstream is not None and upstream.paused)

    # -- the response ----------------------------------------------------------------------

    def upstream_received(self, end: int) -> None:
        connection = self._connection
        try:
            if self._response is None:
                self._response_head(end)
            else:
                self._response_body(HEADROOM, HEADROOM, end)
            # There is more to come. Until the head of the answer is complete, the time for it runs
            # on, whatever comes in front of it and however slowly.
            if self._upstream is not None and self._response is not None:
                self._set_deadline()
        except UpstreamError as problem:
            if self._response is None:
                target = self._pool.target
                log.error("upstream %s: %s", target, problem, extra=limited(f"upstream {target}"))
                what = f"The app at {target} sent a bad answer: {problem}"
                self._gateway_error(502, what + self._unsure())
            else:
                self._cut_short(problem)
        except Exception:
            connection.bug("while reading a response")

    def _response_head(self, end: int) -> None:
        """Looks for the head in what came; passes interim responses on; starts the body."""
        connection, upstream = self._connection, self._upstream
        front = connection.front
        limits = front.limits
        start = HEADROOM
        interim: list[bytes] | None = None  # what the client gets of them: together, as they came
        while True:
            assert upstream is not None
            raw, start = upstream.next_head(start, end, limits.max_response_head)
            if raw is None:
                self._write_interim(interim)
                return
            response = upstream.memo.parse(
                raw,
                self._head,
                self._head.keep_alive
                and connection.endpoint.open
                and connection.stays
                and (self.request_done or self._body_will_end()),
                front.codec,
                limits,
                self.route.policy,
            )
            head = response.head
            if self._pool.health.failures:
                self._pool.answered()
            if head.status >= 200:
                break
            if head.status == 101:
                if not self.request_done:
                    raise UpstreamError("it switched protocols before it had the whole request.")
                self._write_interim(interim)
                self._switch(response.text, start, end)
                return
            interim = interim or []
            interim.append(self._interim_response(response))
            if len(interim) == INTERIM_RESPONSES:
                self._write_interim(interim)
                if start < end and self._upstream is not None:
                    self._upstream.keep(start, end)
                return
        if interim is not None:
            self._write_interim(interim)
        self._response = head
        self._keep_alive = response.keep_alive
        if self._expects is not None:
            self._expects.cancel()
        text = response.text
        # Written in front of the body that came along, so that both are sealed as one.
        first = start - len(text)
        if first >= 0:
            VIEW[first:start] = text
            if head.framing is _LENGTH and head.content_length == end - start:
                # The whole of it is here, as of most responses: nothing to keep track of.
                self.record.sent = end - start
                connection.engine.write(VIEW[first:], end - first)
                self._finish_response()
                return
        else:
            connection.write(text)
            first = start
        self._client_chunked = response.framing is _CHUNKED
        self._response_reader = front.codec.response_body(head, front.limits)
        self._response_body(first, start, end)

    def _interim_response(self, response: Response) -> bytes:
        """A 1xx in front of the answer; returns what the client gets of it. It may not have a body
        (RFC 9110 section 15.2); behind one that announces a body, nobody knows where the next
        answer begins."""
        upstream, head = self._upstream, response.head
        assert upstream is not None
        self._interim += 1
        if self._interim > MAX_INTERIM:
            raise UpstreamError(f"it sent more than {MAX_INTERIM} interim (1xx) answers.")
        if not head.keep_alive:
            upstream.tainted = True
        if head.status == 100 and self._expects is not None and not self._expects.meet():
            return b""  # the client has had one
        if head.status == 100:
            self._set_deadline()  # it is the client's turn
        return response.text if self._head.version == b"1.1" else b""

    def _write_interim(self, texts: list[bytes] | None) -> None:
        """To a client that does not read, they must not pile up."""
        upstream, text = self._upstream, b"".join(texts or ())
        if not text or upstream is None:
            return
        self._connection.write(text)
        upstream.paused = self._connection.engine.congested
        if upstream.paused:
            upstream.channel.stop_reading()
            self._set_deadline()

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
                self.record.sent += used
                if start - front + used:
                    engine.write(VIEW[front:], start - front + used)
            else:
                self._write_pieces(bytes(VIEW[front:start]), pieces)
                if surplus and not done and self._upstream is not None:
                    self._upstream.keep(start + used, end)
        if done:
            self._finish_response(surplus=surplus)
        elif engine.congested and self._upstream is not None:
            self._upstream.channel.stop_reading()

    def _write_pieces(self, head: bytes, pieces: list[memoryview]) -> None:
        self.record.sent += sum(map(len, pieces))
        body = encode_chunks(pieces) if self._client_chunked else b"".join(pieces)
        if head or body:
            self._connection.write(head + body)

    def upstream_closed(self, error: str | None, *, truncated: bool) -> None:
        """The upstream ended; whether that is an end or a cut depends on what was due. Where only
        the end tells how long the body is, it must be one that nobody could forge."""
        upstream, self._upstream = self._upstream, None
        if self._response is None:
            if upstream is not None and self._replay and self._may_repeat(upstream):
                replay, self._replay = self._replay, None
                self._connect(replay)
                return
            target = self._pool.target
            if error is None:
                what = f"app at {target} closed the connection before it answered."
            else:
                what = f"connection to the app at {target} failed before it answered: {error}."
            kept = ""
            if upstream is not None and upstream.reused and not upstream.partial:
                kept = " (it was kept from an earlier request)"
                self._pool.uncertain += not upstream.untouched
            log.error(
                "upstream %s: %s before it answered%s",
                target,
                error or "closed the connection",
                kept,
                extra=limited(f"upstream {target}"),
            )
            if upstream is not None and not upstream.reused:
                self._upstream_failed(f"{error or 'closed the connection'} before it answered")
            self._gateway_error(502, f"The {what}{self._unsure()}")
            return
        reader = self._response_reader
        try:
            if error is not None or reader is None:
                raise UpstreamError(error or "closed the connection")
            reader.feed_eof()
            if truncated and not self._site.site.pass_truncated:
                raise UpstreamError(
                    "ended by FIN without close_notify, so this may be a part of it"
                )
        except UpstreamError as problem:
            self._cut_short(problem, truncated=truncated)
            return
        self._finish_response()

    def client_writable(self) -> None:
        upstream = self._upstream
        if upstream is not None:
            upstream.channel.start_reading()
            # An engine may call this for every interim answer, which is no reason for more time.
            if self._writes:
                upstream.paused = False
                self._set_deadline()

    def _finish_response(self, *, surplus: bool = False) -> None:
        connection = self._connection
        if self._client_chunked and (reader := self._response_reader) is not None:
            connection.write(last_chunk(reader.trailers))
        response = self._response
        assert response is not None
        self.record.finish(response.status)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            if (
                response.keep_alive
                and self.request_done
                and not surplus
                and (self._reader is None or not self._trailers_passed)
            ):
                now = connection.front.deadlines.now
                self._pool.release(upstream, now, response.idle_limit)
            else:
                upstream.let_go(complete=self.request_done)
        if self.request_done:
            connection.exchange_done(self._keep_alive)
        else:
            self._answered_early(self._keep_alive)

    def _answered_early(self, keep_alive: bool) -> None:
        """The response is complete, and the request is not. ``keep_alive``: as the client was told
        in the response's head."""
        connection, reader = self._connection, self._reader
        if keep_alive and reader is not None:
            connection.drain(Drain(connection, reader, self.route, self.record))
        else:
            connection.exchange_done(False)

    def _switch(self, text: bytes, start: int, end: int) -> None:
        """101: the connection becomes a tunnel (RFC 9110 §7.8)."""
        connection = self._connection
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        connection.write(text)
        if start < end:
            connection.write(bytes(VIEW[start:end]))
        self.record.sent = end - start
        connection.become_tunnel(upstream, self.route, self.record)

    # -- when it goes wrong ----------------------------------------------------------------

    def _body_refused(self, error: HttpError) -> None:
        """The upstream must not take what it has for a complete request: its connection ends
        before any last chunk. The client gets the reason if no response has begun."""
        connection = self._connection
        if self._response is None:
            connection.refuse(error, self.record)
        else:
            self.record.finish(error.status, error.reason)
            connection.abort()

    def expired(self) -> None:
        """Nothing moved for as long as the limits allow."""
        parameters = self._connection.front.parameters
        silence = f"UpstreamResponseTimeout ({parameters.upstream_response_timeout} s)"
        if self._connection.engine.backlog and (self._response is not None or self._interim):
            self._connection.log_unread()
            self.failed("Timer_Response")
            self._connection.abort()
        elif self._response is not None:
            self._cut_short(UpstreamError(f"sent nothing for {silence}"))
        elif not self.request_done and not self._upstream_owes():
            limit = parameters.entity_body_timeout
            detail = f"Nothing more of the request body came for EntityBodyTimeout ({limit} s)."
            self._connection.refuse(HttpError(408, "Timer_EntityBody", detail), self.record)
        else:
            target = self._pool.target
            log.error(
                "upstream %s: no answer within %s",
                target,
                silence,
                extra=limited(f"upstream {target}"),
            )
            unsure = ""
            if self._upstream is not None:
                self._upstream_failed(f"no answer within {silence}")
                unsure = self._unsure()
            self._gateway_error(
                504, f"The app at {target} did not answer within {silence}.{unsure}"
            )

    def _upstream_failed(self, reason: str) -> None:
        """It took the request and said nothing: the next ones go elsewhere if they can."""
        if self._site.group.only is None:
            self._pool.failed(self, reason, silent=True)

    def failed(self, reason: str) -> None:
        """Finish the record of a request that ends with its connection, which is the caller's."""
        self.record.finish(self._status, reason)

    @property
    def _status(self) -> int:
        """What the client got, or for the logs 499."""
        return self._response.status if self._response is not None else 499

    def _upstream_owes(self) -> bool:
        """Also the rest of a response that it began before the request was over."""
        return self._response is not None or super()._upstream_owes()

    def _gateway_error(self, status: int, detail: str, reason: str = "Upstream") -> None:
        connection = self._connection
        stays = connection.endpoint.open and connection.stays
        ends = self.request_done or self._body_will_end()
        keep_alive = ends and self._head.keep_alive and stays
        page = own_page(
            self.route,
            status,
            server_field=connection.front.server_field,
            detail=detail,
            keep_alive=keep_alive,
            head_only=self._head.method == b"HEAD",
        )
        self.record.sent = body_size(page)
        self.record.finish(status, reason)
        self.cancel()  # a connection that opens later must not come to this exchange any more
        connection.write(page)
        if self.request_done:
            connection.exchange_done(keep_alive)
        else:
            self._answered_early(keep_alive)

    def _cut_short(self, problem: UpstreamError, *, truncated: bool = False) -> None:
        target = self._pool.target
        log.error(
            "upstream %s: response cut short after %d bytes: %s",
            target,
            self.record.sent,
            problem,
            extra=limited(f"upstream {target}"),
        )
        self.failed(TRUNCATED if truncated else "Upstream")
        self._connection.abort()
