"""What the engines that use a plain `Channel` share: closing, and telling the worker."""

from __future__ import annotations

from typing import ClassVar

from fastpath.channel import Channel, describe
from fastpath.closing import GracefulClose
from fastpath.engines.contract import RECEIVE_SIZE, Handover, Sink
from fastpath.worker.link import WorkerLink

# Bytes that may wait for a peer which does not read, before nothing more is read from it: some of
# what it sends (KeyUpdate) is answered without asking the sink, and answers must not pile up.
# A sink that stops at `congested` stays below, so that a peer which writes all before it reads
# anything is served as well.
MAX_UNREAD = 4 * RECEIVE_SIZE


class _Nobody:
    """The sink of an engine that has ended."""

    def plaintext_received(self, data: memoryview) -> None: ...
    def peer_closed(self, clean: bool) -> None: ...
    def engine_failed(self, reason: str) -> None: ...
    def writable(self) -> None: ...


_NOBODY = _Nobody()


class ChannelEngine:
    """Base of `AeadEngine` and `WorkerEngine`. A subclass opens and seals."""

    __slots__ = (
        "_channel",
        "_clean",
        "_close_notify",
        "_closing",
        "_failed",
        "_held",
        "_identifier",
        "_link",
        "_loop",
        "_paused",
        "_peer_ended",
        "_sink",
    )

    name: ClassVar[str]
    kernel_mode: ClassVar[bool]

    def __init__(self, handover: Handover, sink: Sink) -> None:
        self._loop = handover.loop
        self._channel: Channel = handover.channel
        self._link: WorkerLink = handover.link  # type: ignore[assignment]  # STAND-IN
        self._identifier = handover.identifier
        self._close_notify = handover.close_notify
        self._sink: Sink = sink
        self._closing = False
        self._paused = False  # by the sink
        self._held = False  # by the peer, which does not read: see MAX_UNREAD
        self._clean = False  # the peer's close_notify was seen
        self._peer_ended = False  # by close_notify or FIN: nothing more is read
        self._failed = False  # a fatal alert was sent or received

    @classmethod
    def unavailable(cls) -> str | None:
        return None

    def pause_reading(self) -> None:
        self._paused = True
        if not self._closing:  # from then on the channel reads for `GracefulClose`
            self._channel.stop_reading()

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._read_on()

    def _read_on(self) -> None:
        """Reads, unless there is a reason not to."""
        if not (self._paused or self._held or self._closing or self._peer_ended):
            self._channel.start_reading()

    def _hold_reading(self) -> None:
        """Call it instead of reading when the channel's backlog is above MAX_UNREAD."""
        self._held = True
        self._channel.stop_reading()

    def _drained(self) -> None:
        """The channel's `on_drained`."""
        if self._held:
            self._held = False
            self._read_on()
        self._writable()

    def _writable(self) -> None:
        """The channel has no backlog."""
        self._sink.writable()

    # -- ending ----------------------------------------------------------------------------

    def _peer_finished(self, clean: bool) -> None:
        """Close_notify or FIN: nothing more is read."""
        self._peer_ended = True
        self._clean = clean
        self._channel.stop_reading()
        self._sink.peer_closed(clean)

    def _channel_broken(self, error: OSError) -> None:
        if self._closing:
            self._finish()
        else:
            self._fail(describe(error))

    def _fail(self, reason: str) -> None:
        """The connection is lost: close at once and tell the sink."""
        self._closing = True
        sink = self._sink
        self._finish()
        sink.engine_failed(reason)

    def _fail_with_alert(self, reason: str) -> None:
        """The records ended by an error. Its alert, if any, is on its way and gets its time."""
        self._failed = True
        self._close_gracefully()
        self._sink.engine_failed(reason)

    def _close_gracefully(self) -> None:
        self._closing = True
        look = self._close_notify and not self._clean and not self._failed
        GracefulClose(
            self._loop,
            self._channel,
            self._finish,
            peer_done=self._clean,
            late=self._late_records if look else None,
        )

    def _late_records(self, records: memoryview) -> None:
        """What the peer sends after our end. Only its close_notify counts: it answers ours, and
        decides whether the session may be resumed."""

    def _abort_channel(self) -> None:
        self._closing = True
        self._channel.abort()
        self._finish()

    def _finish(self) -> None:
        self._channel.close()
        self._link.end(self._identifier, resumable=self._resumable())
        self._sink = _NOBODY  # who holds the engine: neither would go without the collector

    def _resumable(self) -> bool | None:
        """RFC 5246 §7.2.2, RFC 9846 §6.2: after a fatal alert the session is forgotten."""
        return not self._failed and (self._clean or not self._close_notify)
