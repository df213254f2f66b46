"""The journal of a front end: hands what is over to every log and counter.

exchange, tunnel ─ RequestRecord.finish ─┐
                                         ├─> Journal ─> AccessLog, ErrorLog, Closes, others
connection, listener ─ happened ─────────┘
"""

from __future__ import annotations

from typing import Protocol

from kssl.proxy.journal.accesslog import AccessLog, Stream
from kssl.proxy.journal.closes import Closes
from kssl.proxy.journal.httperr import ErrorLog
from kssl.proxy.journal.record import ConnectionEvent, RequestRecord


class Sink(Protocol):
    """A log or a counter. It gets each record and event once, in their order, must not raise, and
    must not keep a record.

    Its methods are called within the work on a connection: what takes time is for a thread.
    """

    @property
    def every(self) -> bool:
        """Whether it wants records without a reason, too. Such a sink costs something for each
        request."""

    def finished(self, record: RequestRecord, /) -> None:
        """A request is over."""

    def happened(self, event: ConnectionEvent, /) -> None:
        """Something has happened to a connection that belongs to no request."""


class Journal:
    """Owns the logs and counters of one front end.

    every: those that want each record. It is looked at once for each request, so it is a plain
    attribute, set when that may have changed.
    """

    __slots__ = ("_sinks", "access_log", "closes", "error_log", "every")

    every: tuple[Sink, ...]

    def __init__(
        self, access_log: AccessLog, error_log: ErrorLog, closes: Closes, *further: Sink
    ) -> None:
        self.access_log = access_log
        self.error_log = error_log
        self.closes = closes
        self._sinks: tuple[Sink, ...] = (access_log, error_log, closes, *further)
        self._look()

    def finished(self, record: RequestRecord) -> None:
        """See `Sink.finished`. Called by the record."""
        for sink in self._sinks if record.reason else self.every:
            sink.finished(record)

    def happened(self, event: ConnectionEvent) -> None:
        """See `Sink.happened`."""
        for sink in self._sinks:
            sink.happened(event)

    def reopen_access_log(self, stream: Stream | None) -> None:
        """See `AccessLog.reopen`."""
        self.access_log.reopen(stream)
        self._look()

    def sweep(self) -> None:
        """Let the logs say what waits for its time. To be called from time to time."""
        self.error_log.sweep()

    def close(self) -> None:
        """End the logs. Waits for the disk, but not for long."""
        self.access_log.close()
        # The last ones that know how a connection has ended are the workers.
        self.error_log.close()
        self._look()

    def _look(self) -> None:
        self.every = tuple(sink for sink in self._sinks if sink.every)
