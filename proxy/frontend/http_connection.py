"""The HTTP side of one client connection: heads in, one exchange at a time, then the next.

    engine ──plaintext──> HttpConnection ──> Exchange ──> upstream
                 <── write ──        <── response ──

States are where the plaintext goes: to the current exchange (its body), to the tunnel that a
request became, or into the search for the next head. No task runs per request; everything is
called from the event loop's readiness callbacks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from kssl.fastpath.engines.contract import Engine, Session
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.net.channel import RESETS
from kssl.fastpath.net.poller import Poller
from kssl.fastpath.tls.errors import Alert
from kssl.fastpath.verifier.messages import ClientVerdict
from kssl.proxy.frontend.answering import Answering
from kssl.proxy.frontend.certificate import Refused
from kssl.proxy.frontend.deadlines import NEVER
from kssl.proxy.frontend.draining import Drain
from kssl.proxy.frontend.endpoint import Endpoint
from kssl.proxy.frontend.exchange import Exchange
from kssl.proxy.frontend.front import Front
from kssl.proxy.frontend.router import Route
from kssl.proxy.frontend.tunnel import Tunnel
from kssl.proxy.http.codec import find_head_end, skip_empty_lines
from kssl.proxy.http.memo import RequestMemo
from kssl.proxy.http.messages import HttpError, RequestHead
from kssl.proxy.journal.record import RequestRecord
from kssl.proxy.upstream.connection import UpstreamConnection

log = logging.getLogger("kssl")

_CR = 13
_NO_HEAD = (b"", b"\r")  # how what is behind empty lines begins, if that may be one more of them

TLS12 = "TLSv1.2"

# Words of the HTTPERR log.
CONNECTION_DROPPED = "Connection_Dropped"
INTERNAL = "Internal"


class HttpConnection(Answering):
    """The engine's sink. ``done()`` is called once, when the connection is over or closing.

    stays: False: it ends with its next response, as it does when `Endpoint.open` is False.
    """

    __slots__ = (
        "_body_paused",
        "_buffer",
        "_done",
        "_exchange",
        "_half_close",
        "_memo",
        "_next_waits",
        "_outstanding",
        "_peer_clean",
        "_peer_closed",
        "_shared_host",
        "_stands_since",
        "_tunnel",
        "deadline",
        "over",
        "stays",
    )

    def __init__(
        self,
        front: Front,
        endpoint: Endpoint,
        *,
        peer: tuple[str, int],
        local: tuple[str, int],
        session: Session,
        engine_name: str,
        verdict: ClientVerdict | None,
        done: Callable[[], None],
    ) -> None:
        """``session`` is empty without TLS. ``verdict`` None: no certificate was asked for."""
        super().__init__(
            front,
            endpoint,
            peer=peer,
            local=local,
            session=session,
            engine_name=engine_name,
            verdict=verdict,
        )
        # In TLS 1.2 a close_notify ends both directions (RFC 5246 §7.2.1), since TLS 1.3 the
        # sender's alone (RFC 9846 §6.1).
        self._half_close = session.version != TLS12
        self._memo = self._new_memo()
        # The Host whose requests all have `route`; None: ask the router.
        self._shared_host: bytes | None = None
        self.over = False
        self.stays = True
        self.deadline = NEVER
        self._done = done
        self._buffer = bytearray()  # the beginning of the next head, or pipelined requests
        self._exchange: Exchange | Drain | None = None
        self._tunnel: Tunnel | None = None
        self._next_waits = False  # a held request, for its turn
        self._body_paused = False  # by the exchange
        self._peer_closed = self._peer_clean = False
        self._outstanding = -1  # bytes that the client had not taken when that was seen last
        self._stands_since = 0.0  # and since when they are so many

    def renew(self) -> None:
        """There is a new configuration: the next request meets its limits and its sites. What is
        remembered was accepted under the old ones. Who was let in by a certificate comes again, to
        be judged by the CAs and revocation lists that there are now."""
        self._memo = self._new_memo()
        self._shared_host = None
        if self.admission.judged:
            self.stays = False
        # A client that has not asked for anything yet gets its answer first.
        answered = self.route.site is not None and self._tunnel is None
        if not (self.endpoint.open and self.stays) and self.idle and answered:
            self.close()

    def _new_memo(self) -> RequestMemo:
        front = self.front
        site = self.endpoint.router.of_handshake(self.admission.server_name)
        return RequestMemo(front.codec, front.limits, self.client, site.default_host)

    def start(self, engine: Engine, leftover: bytes) -> None:
        self.engine = engine
        self.deadline = self.front.header_deadline
        self.front.deadlines.add(self)
        engine.start(leftover)

    def refuse_client(self, engine: Engine, refused: Refused) -> None:
        """Instead of `start`: it is over before the first request, with an alert that says why."""
        self.engine = engine
        self.tell(refused.reason)
        self._end()
        engine.refuse(refused.alert)

    @property
    def idle(self) -> bool:
        """Between two requests, with nothing of the next one here; or a tunnel, which has no end
        that one could wait for."""
        return self._exchange is None and not self._next_waits and not self._head_began

    @property
    def tunnelled(self) -> bool:
        """Behind 101."""
        return self._tunnel is not None

    @property
    def _head_began(self) -> bool:
        """Empty lines in front of a request line are none yet."""
        return bool(self._buffer.strip(b"\r\n"))

    # -- the engine's sink -----------------------------------------------------------------

    def plaintext_received(self, data: memoryview) -> None:
        try:
            exchange = self._exchange
            if exchange is None:
                if self._tunnel is not None:
                    self._tunnel.client_received(data)
                elif self._next_waits:
                    self._hold(data)
                else:
                    self._read_head(data)
                return
            if exchange.request_done:
                self._hold(data)
                return
            if self._buffer:  # its turn has not come
                self._buffer += data
                return
            used = exchange.request_body(data)
            if self.over:
                return
            if used < len(data):
                self._hold(data[used:])
            if isinstance(exchange, Drain) and exchange.done:
                self.exchange_done(True)
        except Exception:
            self.bug("while reading a request")

    def peer_closed(self, clean: bool) -> None:
        self._peer_closed, self._peer_clean = True, clean
        exchange = self._exchange
        if exchange is not None and not exchange.request_done and self._buffer:
            return  # `read_on` comes back to this
        if self._tunnel is not None:
            if clean or not self._needs_close_notify:
                self._tunnel.client_closed()
            else:
                what = "tunnel cut: FIN without close_notify"
                log.warning("%s: %s", self.client.address, what, extra=limited("tunnel cut"))
                self.abort()  # for all we know the app has only a part, and must not take it whole
        elif isinstance(exchange, Drain):
            self.close()  # it has its answer
        elif exchange is not None and not exchange.request_done:
            self._lost(CONNECTION_DROPPED)
            what = "closed in the middle of a request body"
            log.warning("%s %s", self.client.address, what, extra=limited("Connection_Dropped"))
            if exchange.responding:
                self.abort()
            else:
                self.close()
        elif clean and not self._half_close and (exchange is not None or self._next_waits):
            self._lost(CONNECTION_DROPPED)
            self.close()
        elif exchange is None and not self._next_waits:
            if self._buffer:
                log.info("%s closed in the middle of a request head", self.client.address)
                self._lost(CONNECTION_DROPPED)
            self.close()
        # Otherwise a reply is in progress: a closed writing side is no reason to cut it, least of
        # all a FIN that anybody may have forged. What is held counts first; `read_on` comes back.

    def peer_left(self) -> None:
        """Its close_notify has closed its side, so the FIN behind it says no more than that it has
        gone: nobody waits for the reply. A tunnel stays half open for a while."""
        exchange = self._exchange
        if isinstance(exchange, Drain):
            self.close()  # it has its answer
        elif exchange is not None:
            self._lost(CONNECTION_DROPPED)
            if exchange.responding:
                self.abort()
            else:
                self.close()
        elif self._next_waits:
            self._lost(CONNECTION_DROPPED)
            self.close()

    def engine_failed(self, reason: str) -> None:
        if self._exchange is not None or self._head_began:
            self._lost("Client_Reset" if reason in RESETS else CONNECTION_DROPPED)
        # Clients go away all the time, and the access log has a 499 for it.
        level = logging.INFO if reason in RESETS else logging.WARNING
        of_kind = limited("connection lost")
        log.log(level, "%s: connection lost: %s", self.client.address, reason, extra=of_kind)
        self._end()

    def _lost(self, reason: str) -> None:
        """Finish the record of the request that is lost with the connection, if there is one: the
        exchange's, or one that is held, in whole or in part."""
        exchange = self._exchange
        if isinstance(exchange, Exchange):
            exchange.record.finish(0, reason)
        elif exchange is None and self._buffer:
            self.open_record(_first_line(self._buffer)).finish(0, reason)

    def writable(self) -> None:
        self._outstanding = -1
        if self._exchange is not None:
            self._exchange.client_writable()
        elif self._tunnel is not None:
            self._tunnel.client_writable()
        elif self._next_waits:
            self.read_on()

    # -- heads -----------------------------------------------------------------------------

    def _read_head(self, data: memoryview) -> None:
        """``data`` follows what is in the buffer; together they begin with a head."""
        front = self.front
        limit = front.limits.max_request_bytes
        searched = len(self._buffer)
        if searched:
            self._buffer += data
            if not self._whole_head(searched, limit):
                return
            data = memoryview(bytes(self._buffer))
            self._buffer.clear()
        whole, raw = data, bytes(data if len(data) <= limit else data[: limit + 8])
        try:
            start = skip_empty_lines(raw) if raw[0] == _CR else 0
            if start:
                data, raw = data[start:], raw[start:]
            end = find_head_end(raw, searched - start if searched > start else 0, limit)
            if end < 0:
                # With the empty lines, if there is nothing else: who sends no more than that must
                # not count as idle for ever.
                self._buffer += whole if raw[:1] in _NO_HEAD else data
                if not searched:
                    # The whole head must come soon after its first byte, however it trickles.
                    self.deadline = front.header_deadline
                return
            head, sent = self._memo.parse(raw if end == len(raw) else raw[:end])
        except HttpError as error:
            self._refuse_head(error, raw)
            return
        route = self.route
        # A memo gives the same object for the same fields, so most requests pass here.
        if head.host is not self._shared_host:
            route = self._choose(head)
            if route.refusal is not None:
                self._refuse_head(route.refusal, raw)
                return
            if route.location is not None:
                self.redirect(head, route.location)
                return
        exchange = self._exchange = Exchange(self, head, route)
        used = end + exchange.start(sent, data[end:])
        if used < len(data) and not self.over:
            if self._tunnel is not None:
                self._tunnel.client_received(data[used:])
            elif self._exchange is exchange:
                self._hold(data[used:])

    def _choose(self, head: RequestHead) -> Route:
        """Ask the router for the request's route."""
        route = self.route = self.endpoint.router.route(head, self.admission, self.route)
        self._shared_host = head.host if route.shared else None
        return route

    def _refuse_head(self, error: HttpError, raw: bytes) -> None:
        self.refuse(error, self.open_record(raw.partition(b"\r\n")[0]))

    def _whole_head(self, searched: int, limit: int) -> bool:
        """Whether the buffer has one. A head may come byte by byte, so nothing is copied to see
        that it has none yet. What is wrong with it is for the caller to find."""
        buffer = self._buffer
        if buffer[0] == _CR or len(buffer) >= limit:
            return True
        try:
            return find_head_end(buffer, searched, limit) >= 0
        except HttpError:
            return True

    def _hold(self, data: memoryview) -> None:
        """Pipelined requests wait their turn here; no more of them than fit one head. So does the
        rest of a body that was more than a quantum."""
        self._buffer += data
        exchange = self._exchange
        if exchange is not None and not exchange.request_done:
            self.engine.pause_reading()
            self._ask_again()
        elif len(self._buffer) > self.front.limits.max_request_bytes:
            self.engine.pause_reading()

    # -- what exchanges ask for ------------------------------------------------------------

    def exchange_done(self, keep_alive: bool) -> None:
        """The response is complete, and so is the request if ``keep_alive``."""
        # A route that others share has nothing to give back.
        if self._shared_host is None and self._exchange is not None:
            self._exchange.route.release()
        self._exchange = None
        self._body_paused = False
        front = self.front
        # An endpoint that is given up: the next response says that it is the last, for a client
        # that was told otherwise may be sending its next request now.
        if not keep_alive or front.stopping:
            self.close()
        elif self._buffer:
            self._next_waits = True
            self.deadline = front.look_deadline
            # Answers to a client that does not read must not pile up: then `writable` goes on.
            # Otherwise behind the caller's back, so that its own work is finished first.
            if not self.engine.congested:
                self._ask_again()
        elif self._peer_closed:
            self.close()
        else:
            self.deadline = front.idle_deadline
            # The exchange may have paused it, and then the rest of its body came all the same.
            self.engine.resume_reading()

    def drain(self, rest: Drain) -> None:
        """The response is complete, and ``rest`` of its request is to come."""
        self._exchange = rest
        self.deadline = self.front.body_deadline
        self.resume_body()

    def pause_body(self) -> None:
        """The exchange takes no more of its request; what is on the way may still come."""
        self._body_paused = True
        self.engine.pause_reading()

    def resume_body(self) -> None:
        self._body_paused = False
        if self._buffer:
            self._ask_again()
        else:
            self.engine.resume_reading()

    # -- what waits for another turn -------------------------------------------------------

    def _ask_again(self) -> None:
        Poller.of(self.front.loop).again(self)

    def read_on(self) -> None:
        """See `kssl.fastpath.net.poller.Again`: goes on with what is held, the next request or the
        rest of this one's body."""
        if self.over or not self._buffer:
            return
        if self._next_waits:
            self._next_waits = False
        elif self._body_paused or self._exchange is None or self._exchange.request_done:
            return
        held = bytes(self._buffer)
        self._buffer.clear()
        if not self._peer_closed:
            self.engine.resume_reading()
        self.plaintext_received(memoryview(held))
        if self._peer_closed and not self.over:
            self.peer_closed(self._peer_clean)  # now it is the end of what was held that counts

    def crashed(self) -> None:
        """See `kssl.fastpath.net.poller.Again`."""
        if not self.over:
            self._failed(INTERNAL)
            self.abort()

    def bug(self, what: str) -> None:
        """Call it from an except block: a mistake of ours must not leave the client hanging."""
        log.exception(
            "%s: internal error %s; the connection is aborted",
            self.client.address,
            what,
            extra=limited(INTERNAL),
        )
        self._failed(INTERNAL)
        self.abort()

    def _failed(self, reason: str) -> None:
        """Finish the record of the request or tunnel that ``reason`` ends, or of a head that has
        come in part; without any it is an event of the connection."""
        user = self._exchange or self._tunnel
        if user is not None and not user.record.finished:
            user.failed(reason)
        elif user is None and self._buffer:
            self.open_record(_first_line(self._buffer)).finish(0, reason)
        else:
            self.tell(reason)

    def become_tunnel(
        self, upstream: UpstreamConnection, route: Route, record: RequestRecord
    ) -> None:
        self._exchange = None
        self._tunnel = Tunnel(self, upstream, route, record)
        if self._buffer:
            held = bytes(self._buffer)
            self._buffer.clear()
            self._tunnel.client_received(memoryview(held))
        if self._peer_closed:
            self.peer_closed(self._peer_clean)
        else:
            self.engine.resume_reading()

    # -- memory ----------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Bytes that wait here for the client, for the app, or for the rest of a head."""
        user = self._exchange or self._tunnel
        return len(self._buffer) + self.engine.backlog + (user.held if user is not None else 0)

    def cut(self) -> None:
        """There is no memory for it, and others are quicker."""
        self._failed("Memory_Full")
        self.abort()

    # -- ending ----------------------------------------------------------------------------

    def expired(self) -> None:
        if self._tunnel is not None:
            self._tunnel.expired()
        elif self._exchange is not None or self._next_waits:
            if self.engine.backlog and not self._peer_stands_still():
                self.deadline = self.front.look_deadline
            elif self._exchange is not None:
                self._exchange.expired()
            elif not self.engine.backlog:  # it has read all: its turn is late, behind others'
                self.deadline = self.front.look_deadline
                self._ask_again()
            else:
                self.log_unread()
                self.tell("Timer_Response")
                self.abort()
        elif self._head_began:
            line = bytes(self._buffer).partition(b"\r\n")[0]
            limit = self.front.parameters.header_wait_timeout
            detail = f"The request head took longer than HeaderWaitTimeout ({limit} s)."
            self.refuse(HttpError(408, "Timer_HeaderWait", detail), self.open_record(line))
        else:
            self.tell("Timer_ConnectionIdle")
            self.close()

    def _peer_stands_still(self) -> bool:
        """Whether the client has taken nothing for EntityBodyTimeout. It is asked every few seconds
        while something waits for the client, and counts from when it was first told so."""
        now, outstanding = self.front.deadlines.now, self.engine.outstanding()
        if outstanding != self._outstanding:
            self._outstanding, self._stands_since = outstanding, now
        return now - self._stands_since >= self.front.parameters.entity_body_timeout

    def end(self) -> None:
        """The service stops. In the middle of something a clean end would make a part of it look
        like the whole; a tunnel is always in the middle."""
        exchange = self._exchange
        if isinstance(exchange, Exchange):
            exchange.failed(CONNECTION_DROPPED)
        elif not self.idle:
            self._lost(CONNECTION_DROPPED)
        if isinstance(exchange, Drain) or (self.idle and self._tunnel is None):
            self.close()
        else:
            self.abort()

    def close(self) -> None:
        """Sends what is left and closes. What an exchange still holds is let go."""
        if not self.over:
            self._end()
            self.engine.close()

    def abort(self) -> None:
        """Ends so that the client cannot take an incomplete response for a complete one. With an
        alert, because some take a reset for an end (Python's `ssl` by default)."""
        if not self.over:
            self._end()
            self.engine.abort(Alert.INTERNAL_ERROR)

    def _end(self) -> None:
        self.over = True
        self.front.deadlines.discard(self)
        user, self._exchange, self._tunnel = self._exchange or self._tunnel, None, None
        if user is not None:
            user.cancel()
            user.route.release()
        done, self._done = self._done, _nothing
        done()


def _first_line(head: bytearray) -> bytes:
    return bytes(head).lstrip(b"\r\n").partition(b"\r\n")[0]


def _nothing() -> None:
    """In place of `done`, whose owner holds the connection."""
