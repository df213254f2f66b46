"""What a connection becomes after 101 Switching Protocols: bytes both ways, WebSocket mostly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from proxy.http.messages import RequestHead
from proxy.upstream.connection import HEADROOM, VIEW, UpstreamConnection

if TYPE_CHECKING:
    from proxy.frontend.http_connection import HttpConnection

# Seconds that an app may be silent once the client has ended its side. Before that there is no
# limit: a WebSocket may be silent for hours.
HALF_CLOSED = 60.0


class Tunnel:
    """Copies between the engine and the upstream until both have ended, without a time limit."""

    __slots__ = ("_client_done", "_connection", "_head", "_received", "_sent", "_upstream")

    def __init__(
        self,
        connection: HttpConnection,
        upstream: UpstreamConnection,
        head: RequestHead,
        sent: int,
    ) -> None:
        """``sent``: bytes of the upstream's that came, and went, with the 101."""
        self._connection = connection
        self._upstream: UpstreamConnection | None = upstream
        self._head = head
        self._sent = sent
        self._client_done = False
        upstream.user = self
        upstream.channel.start_reading()

    # -- client → upstream -----------------------------------------------------------------

    def client_received(self, data: memoryview) -> None:
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
        self._connection.abort()

    # -- upstream → client -----------------------------------------------------------------

    def upstream_received(self, end: int) -> None:
        self._sent += end - HEADROOM
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
        site = connection.admission.site
        if truncated and site is not None and not site.site.pass_truncated:
            connection.front.closes.count_truncated()
            connection.log_error("Upstream_Truncated", 101, self._request_line())
            connection.abort()
        elif error is None:
            connection.close()
        else:
            connection.abort()

    @property
    def held(self) -> int:
        """Bytes that wait for the app."""
        return self._upstream.channel.backlog if self._upstream is not None else 0

    def cancel(self) -> None:
        """The connection is over. Writes the log line, which tells the bytes sent."""
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.let_go(complete=self._client_done)
        connection = self._connection
        connection.front.access_log.write(
            connection.peer,
            self._request_line(),
            101,
            self._sent,
            b"",
            b"",
            connection.session_text,
        )

    def _request_line(self) -> bytes:
        return b"%b %b HTTP/%b" % (self._head.method, self._head.target, self._head.version)
