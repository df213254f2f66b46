"""What is written down about one request, and about a connection that has none.

The life of a record
    opened    with the head of the request, when it is known which site it is for; or when a request
              is refused, or its client lost, before that: then with as much of the request line
              as came.
    filled    on the way: `sent` grows with the body of the response.
    finished  when the response is complete, or is known never to be. `RequestRecord.finish` says
              with which status, and for which reason if the request failed. Then the journal
              hands the record to the logs and counters.

A record belongs to the exchange that works on the request, and passes to the tunnel if the request
becomes one; a `Drain` keeps a finished one for its line. A sink reads it during the call and lets
it go.

Promises
    1. Every request whose turn has come has one record: also one that is refused, redirected, cut,
       answered by a page of the proxy's own, or whose head never was complete. Silence has none,
       and neither has what is pipelined behind a request with which the connection ends: nobody
       has looked at it.
    2. A record is finished once. A second finish changes nothing and is an error in the log, with
       the stack; the first one has told everything.
    3. `status` and `reason` are read after the finish alone; `sent` and `line` do not change any
       more then.
    4. Whoever ends a connection while an exchange or a tunnel is at work finishes its record.
    5. A record without a reason has failed nobody. The access log has a line for each request
       whose head was whole or that was answered, the HTTPERR log for each with a reason.
    6. What happens behind a finished response, such as the rest of a body that nobody wants and
       that is too long, belongs to the connection: it is a `ConnectionEvent`.

Events are a type of their own, because they have no life: they are made and told in one call. One
may quote the first line of what came (plain HTTP on a port for TLS), which is no request for all
that.

What comes next
    A JSON log and metrics are sinks (`kssl.proxy.journal.journal.Sink`): they get every record and
    every event, and say by `every` whether they want successful requests, too. What they need
    besides (when the request began, which upstream, how many bytes came) are further fields here,
    filled by the exchange; one that costs something for each request, as reading the clock does,
    is filled only while a sink wants it.
"""

from __future__ import annotations

import logging
from collections.abc import Sized
from dataclasses import dataclass
from typing import Protocol

from kssl.config.model import Site
from kssl.fastpath.logs.messages import limited
from kssl.proxy.http.messages import RequestHead

log = logging.getLogger("kssl")

PROBE = "probe"
"""The reason of the event that a client's connection has ended before its first request, by the
client's will, as those of load balancers do. No word of the HTTPERR log, which only counts them."""


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """What the logs say of a connection, in each of its lines.

    client: its address and port. local: those that it has connected to. peer: its address as the
    access log writes it. session: TLS, mode and certificate likewise
    (`kssl.proxy.journal.accesslog.describe_session`). Both are b"" where HTTP has not begun.
    """

    client: tuple[str, int]
    local: tuple[str, int]
    peer: bytes = b""
    session: bytes = b""


@dataclass(frozen=True, slots=True)
class ConnectionEvent:
    """Something that happened to a connection and belongs to no request.

    reason: a word of the HTTPERR log, or `PROBE`. site: of the connection's last request. line: the
    first line of what came, if that says anything. status: what was answered; 0: nothing. quiet:
    it is counted, and no log has a line of it.
    """

    connection: ConnectionInfo
    reason: str
    site: Site | None = None
    line: bytes = b""
    status: int = 0
    quiet: bool = False


class Finisher(Protocol):
    """What a record needs of the journal."""

    @property
    def every(self) -> Sized:
        """Those who want records without a reason; what matters here is whether there are any."""

    def finished(self, record: RequestRecord, /) -> None: ...


class RequestRecord:
    """One request, as the logs and counters see it.

    connection: its connection. site: where it goes; None if that was not found. request: its head,
    or the request line alone. sent: bytes of the body that the client was sent. status, reason: see
    `finish`; not there before.
    """

    __slots__ = ("_journal", "connection", "reason", "request", "sent", "site", "status")

    status: int
    reason: str

    def __init__(
        self,
        journal: Finisher,
        connection: ConnectionInfo,
        site: Site | None,
        request: RequestHead | bytes,
    ) -> None:
        """``request``: where the head was not accepted, as much of its line as came."""
        self._journal: Finisher | None = journal
        self.connection = connection
        self.site = site
        self.request = request
        self.sent = 0

    @property
    def line(self) -> bytes:
        """The request line."""
        request = self.request
        return request if isinstance(request, bytes) else request.line

    def keep_line(self) -> None:
        """Keep the request line alone: the head is not needed any more."""
        self.request = self.line

    @property
    def finished(self) -> bool:
        """Whether the journal has it."""
        return self._journal is None

    def finish(self, status: int, reason: str = "") -> None:
        """Hand the record to the journal. Call it once.

        status: of the response, also of one that the proxy or the app has cut; 0: there was none,
        or the client has gone before its end. reason: a word of the HTTPERR log if the request has
        failed.
        """
        journal = self._journal
        if journal is None:
            self._finished_again(reason)
            return
        self._journal = None
        self.status = status
        self.reason = reason
        if reason or journal.every:
            journal.finished(self)

    def _finished_again(self, reason: str) -> None:
        log.error(
            "internal error: a request that was finished (%d %s) is finished again (%s)",
            self.status,
            self.reason or "without a reason",
            reason or "without a reason",
            stack_info=True,
            extra=limited("Internal"),
        )
