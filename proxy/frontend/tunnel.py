"""What a connection becomes after 101 Switching Protocols: bytes both ways, WebSocket mostly."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kssl.proxy.frontend.router import Route
from kssl.proxy.journal.closes import TRUNCATED
from kssl.proxy.journal.record import RequestRecord
from kssl.proxy.upstream.connection import HEADROOM, VIEW, UpstreamConnection

if TYPE_CHECKING:
    from kssl.proxy.frontend.http_connection import HttpConnection

log = logging.getLogger("kssl")

# Seconds that an app may be silent once the client has ended its side. Before that both may be, for
# TunnelIdleTimeout.
HALF_CLOSED = 60.0

# Seconds for which a client's machine may not acknowledge what was sent to it. One whose program
# does not read answers the kernel's probes, which are two minutes apart at most.
UNHEARD = 180.0


class Tunnel:
    """Copies between the engine and the upstream until both have ended, or neither says anything
    for TunnelIdleTimeout."""

    __slots__ = (
        "_client_done",
        "_connection",
        "_moved",
        "_silent_since",
        "_unheard",
        "_upstream",
        "record",
        "route",
    )

    def __init__(
        self,
        connection: HttpConnection,
        upstream: UpstreamConnection,
        route: Route,
        record: RequestRecord,
    ) -> None:
        """``record``: of the request that it was; bytes that came, and went, with the 101 are in
        it."""
        record.keep_line()  # a tunnel may last for hours
        self.record = record
        self.route = route
        self._connection = connection
        self._upstream: UpstreamConnection | None = upstream
        self._client_done = False
        self._moved = False  # since `expired` has looked last
        self._unheard = False  # when `expired` looked last
        self._silent_since = connection.front.deadlines.after(0)  # never early
        connection.deadline = connection.front.tunnel_look_deadline
        upstream.user = self
        upstream.channel.start_reading()

    # -- client → upstream -----------------------------------------------------------------

    def client_received(self, data: memoryview) -> None:
        self._moved = True
        if self._upstream is not None:
            self._upstream.channel.send(data)
            if self._upstream.channel.backlog:
                self._connection.engine.pause_reading()

    def upstream_drained(self) -> None:
        if self._client_done:
            if self._upstream is not None:
                self._upstream.channel.shutdown_write()
        else:
            self._connection.engine.resume_reading()

    def client_closed(self) -> None:
        """The client will send nothing more; the app may still have something to say."""
        self._client_done = True
        self._expect_more()
        if self._upstream is not None and not self._upstream.channel.backlog:
            self._upstream.channel.shutdown_write()

    def _expect_more(self) -> None:
        """A client that has ended may be gone, and there is nothing left by which to notice."""
        connection = self._connection
        connection.deadline = connection.front.deadlines.after(HALF_CLOSED)

    def expired(self) -> None:
        connection = self._connection
        front = connection.front
        now, limit = front.deadlines.now, front.parameters.tunnel_idle_timeout
        if self._moved:
            self._moved, self._silent_since = False, now
        if self._client_done:
            connection.abort()
            return
        if limit and now - self._silent_since >= limit:
            self._end("said nothing for TunnelIdleTimeout", "Timer_ConnectionIdle")
            return
        unheard = connection.engine.unheard() >= UNHEARD
        if unheard and self._unheard:
            self._end("vanished: its machine acknowledges nothing", "Timer_Response")
            return
        # Once may be a moment: what ends a long silence has just been sent.
        self._unheard = unheard
        connection.deadline = front.tunnel_look_deadline

    def _end(self, what: str, reason: str) -> None:
        connection = self._connection
        log.info("%s: tunnel cut: the client %s", connection.client.address, what)
        self.failed(reason)
        connection.abort()

    def failed(self, reason: str) -> None:
        """Finish the record of a tunnel that ends with its connection, which is the caller's."""
        self.record.finish(101, reason)

    # -- upstream → client -----------------------------------------------------------------

    def upstream_received(self, end: int) -> None:
        self.record.sent += end - HEADROOM
        self._moved = True
        if self._client_done:
            self._expect_more()
        engine = self._connection.engine
        engine.write(VIEW[HEADROOM:], end - HEADROOM)
        if engine.congested and self._upstream is not None:
            self._upstream.channel.stop_reading()

    def client_writable(self) -> None:
        if self._upstream is not None:
            self._upstream.channel.start_reading()

    def upstream_closed(self, error: str | None, *, truncated: bool) -> None:
        self._upstream = None
        connection = self._connection
        site = self.route.site
        if truncated and site is not None and not site.site.pass_truncated:
            self.failed(TRUNCATED)
            connection.abort()
        elif error is None:
            connection.close()
        else:
            connection.abort()

    @property
    def held(self) -> int:
        """Bytes that wait for the app, or came from it and wait for the client."""
        return self._upstream.channel.held if self._upstream is not None else 0

    def cancel(self) -> None:
        """The connection is over."""
        if not self.record.finished:
            self.record.finish(101)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.let_go(complete=self._client_done)
