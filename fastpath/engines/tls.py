"""The base of the engines with TLS: closing, the worker's session, one record at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod

from kssl.fastpath.engines import base
from kssl.fastpath.engines.base import ChannelEngine
from kssl.fastpath.engines.contract import Handover, Sink
from kssl.fastpath.engines.cutter import MAX_RECORD, RecordCutter
from kssl.fastpath.net.channel import describe
from kssl.fastpath.net.closing import End, GracefulClose
from kssl.fastpath.record.wire import MAX_FRAGMENT

_RECORD = memoryview(bytearray(MAX_RECORD))

# What is read and dropped behind a close_notify, to see the end of the connection, in bytes.
_MAX_BEHIND = 64 * 1024


class TlsEngine(ChannelEngine, ABC):
    """The base of `AeadEngine` and `WorkerEngine`. A subclass opens and seals."""

    __slots__ = (
        "_behind",
        "_close_notify",
        "_cutter",
        "_failed",
        "_identifier",
        "_link",
        "_resumable",
    )

    def __init__(self, handover: Handover, sink: Sink) -> None:
        assert handover.link is not None, "TLS needs the worker of the handshake"
        super().__init__(handover, sink)
        self._link = handover.link
        self._identifier = handover.identifier
        self._close_notify = handover.close_notify
        self._resumable = handover.resumable
        self._failed = False  # a fatal alert was sent or received
        self._cutter: RecordCutter | None = None  # none: records come in batches
        if not handover.bulk:
            self._cutter = RecordCutter()
            self._piece = min(self._piece, MAX_FRAGMENT)
            self._joined = 0
        handover.channel.rebind(
            self._readable if handover.bulk else self._record_readable,
            self._drained,
            self._channel_broken,
        )
        # In kernel mode too: the worker keeps the session's handle, though it has nothing to tell.
        handover.link.rebind(handover.identifier, self)

    # -- reading ---------------------------------------------------------------------------

    def start(self, leftover: bytes) -> None:
        self._channel.start_with(leftover)

    @abstractmethod
    def _readable(self) -> None:
        """Read a batch of records, as the channel's `on_readable`."""

    def _record_readable(self) -> None:
        """Read a header, then what it announces: in place of `_readable` without bulk."""
        channel, cutter = self._channel, self._cutter
        assert cutter is not None
        if channel.backlog > base.MAX_UNREAD:
            self._hold_reading()
            return
        record = None
        while record is None:
            missing = cutter.missing
            try:
                received = channel.recv_into(_RECORD[:missing])
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._fail(describe(error))
                return
            if not received:
                self._fin_received()
                return
            record = cutter.add(_RECORD[:received])
            if received < missing:
                break  # that was all there is
        if record is not None:
            self._open(record)

    @abstractmethod
    def _open(self, records: memoryview) -> None:
        """Open ``records`` of the peer; without bulk it is one whole record."""

    @abstractmethod
    def _fin_received(self) -> None:
        """Handle FIN without close_notify."""

    def _peer_finished(self, clean: bool) -> None:
        if clean:
            self._received = End.CLOSE_NOTIFY
        super()._peer_finished(clean)
        if clean and not self._closing:
            self._behind = 0
            self._channel.rebind(self._read_behind, self._drained, self._channel_broken)
            self._channel.start_reading()

    def _read_behind(self) -> None:
        """Read on behind close_notify, where nothing counts but the end (RFC 9846 §6.1).

        A peer that has gone waits for no reply.
        """
        try:
            received = self._channel.recv_into(_RECORD)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(describe(error))
            return
        self._behind += received
        if not received or self._behind > _MAX_BEHIND:
            self._channel.stop_reading()
        if not received:
            self._sink.peer_left()

    @property
    def _clean(self) -> bool:
        """Whether the peer's close_notify was seen."""
        return self._received is End.CLOSE_NOTIFY

    # -- the link --------------------------------------------------------------------------

    @abstractmethod
    def frame_received(self, kind: int, payload: memoryview) -> None: ...

    @abstractmethod
    def worker_lost(self) -> None: ...

    # -- ending ----------------------------------------------------------------------------

    def _fail_with_alert(self, reason: str, *, peers: bool) -> None:
        """Tell the sink, and close: the records have ended by an error.

        ``peers``: by the peer's own alert; otherwise ours is on its way and gets its time.
        """
        self._failed = self._closing = True
        if peers:
            self._received = End.ALERT
        else:
            self._alert_sent()
        self._sink.engine_failed(reason)
        self._close_gracefully()

    def _alert_sent(self) -> None:
        """Note that we end by an alert, but for our close_notify: nothing follows that."""
        if self._sent is not End.CLOSE_NOTIFY:
            self._sent = End.ALERT

    def _close_gracefully(self) -> None:
        self._closing = True
        look = self._close_notify and not self._clean and not self._failed
        GracefulClose(
            self._loop,
            self._channel,
            self._closed,
            peer_done=self._clean,
            late=self._late if look else None,
        )

    def _late(self, data: memoryview) -> None:
        """Look at what the peer sends after our end.

        Only its close_notify counts: it answers ours, and decides whether the session may be
        resumed.
        """
        if self._cutter is None:
            self._late_records(data)
        else:
            for record in self._cutter.cut(data):
                self._late_records(record)

    @abstractmethod
    def _late_records(self, records: memoryview) -> None:
        """Open records that come after our end, for the sake of a close_notify among them."""

    def _finish(self) -> None:
        # RFC 5246 §7.2.2, RFC 9846 §6.2: after a fatal alert the session is forgotten.
        in_order = not self._failed and (self._clean or not self._close_notify)
        resumable = self._resumable and in_order
        self._link.end(self._identifier, resumable=resumable)
        super()._finish()
