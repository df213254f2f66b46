"""The base of all engines that use a `Channel`: pausing, and how a connection ends."""

from __future__ import annotations

from typing import ClassVar

from kssl.fastpath.engines.contract import MAX_PIECE, RECEIVE_SIZE, Handover, Sink
from kssl.fastpath.net.channel import SMALL, Channel, describe
from kssl.fastpath.net.closing import End, Ending, GracefulClose

# Bytes that may wait for a peer which does not read, before nothing more is read from it: some of
# what it sends (KeyUpdate) is answered without asking the sink, and answers must not pile up.
# A sink that stops at `congested` stays below, so that a peer which writes all before it reads
# anything is served as well.
MAX_UNREAD = 4 * RECEIVE_SIZE


class _Nobody:
    """The sink of an engine that has ended; it ignores everything."""

    def plaintext_received(self, data: memoryview) -> None: ...
    def peer_closed(self, clean: bool) -> None: ...
    def peer_left(self) -> None: ...
    def engine_failed(self, reason: str) -> None: ...
    def writable(self) -> None: ...
    def ended(self, ending: Ending) -> None: ...


_NOBODY = _Nobody()


class ChannelEngine:
    """The base of `TlsEngine` and `PlainEngine`. A subclass reads, writes and closes.

    At most `_piece` bytes of plaintext leave in one piece. Pieces of up to `_joined` bytes may
    leave with others of the same turn.
    """

    __slots__ = (
        "_channel",
        "_closing",
        "_held",
        "_joined",
        "_loop",
        "_paused",
        "_peer_ended",
        "_piece",
        "_reads_on",
        "_received",
        "_sent",
        "_sink",
    )

    name: ClassVar[str]
    kernel_mode: ClassVar[bool]

    def __init__(self, handover: Handover, sink: Sink) -> None:
        self._loop = handover.loop
        self._channel: Channel = handover.channel
        self._sink: Sink = sink
        self._piece = min(handover.max_send, MAX_PIECE)
        # The channel joins what is small until it is not: that must not become more than a piece.
        self._joined = SMALL if self._piece >= 2 * SMALL else 0
        self._reads_on = handover.reads_on
        self._closing = False
        self._paused = False  # by the sink
        self._held = False  # by the peer, which does not read: see MAX_UNREAD
        self._peer_ended = False  # by close_notify or FIN: nothing more is read
        self._received = self._sent = End.NONE

    @classmethod
    def unavailable(cls) -> str | None:
        return None

    @property
    def backlog(self) -> int:
        return self._channel.backlog

    @property
    def congested(self) -> bool:
        return self._channel.backlog > 0

    @property
    def at_rest(self) -> bool:
        channel = self._channel
        return not (self._closing or channel.broken or channel.backlog)

    def outstanding(self) -> int:
        return self._channel.outstanding()

    def unheard(self) -> float:
        return self._channel.unheard()

    def pause_reading(self) -> None:
        self._paused = True
        if not self._closing:  # from then on the channel reads for `GracefulClose`
            self._channel.stop_reading()

    def resume_reading(self) -> None:
        if self._paused:
            self._paused = False
            self._read_on()

    def _read_on(self) -> None:
        """Start reading, unless there is a reason not to."""
        if not (self._paused or self._held or self._closing or self._peer_ended):
            self._channel.start_reading()

    def _hold_reading(self) -> None:
        """Stop reading, because the channel's backlog is above MAX_UNREAD."""
        self._held = True
        self._channel.stop_reading()

    def _drained(self) -> None:
        """Go on, as the channel's `on_drained`."""
        if self._held:
            self._held = False
            self._read_on()
        self._writable()

    def _writable(self) -> None:
        """Tell the sink that the channel has no backlog."""
        self._sink.writable()

    # -- ending ----------------------------------------------------------------------------

    def _peer_finished(self, clean: bool) -> None:
        """Read no more: the peer has sent close_notify or FIN."""
        self._peer_ended = True
        if self._received is End.NONE:
            self._received = End.FIN
        self._channel.stop_reading()
        self._sink.peer_closed(clean)

    def _channel_broken(self, error: OSError) -> None:
        if self._closing:
            self._lost()
        elif self._reads_on and not (self._channel.closed or self._peer_ended):
            self._paused = self._held = False
            self._read_on()
        else:
            self._fail(describe(error))

    def _fail(self, reason: str) -> None:
        """Close at once and tell the sink: the connection is lost."""
        self._closing = True
        self._channel.close()
        self._sink.engine_failed(reason)
        self._lost()

    def _lost(self) -> None:
        """Finish after the peer's reset, or what amounts to one."""
        if self._received is End.NONE:
            self._received = End.RESET
        self._finish()

    def _close_gracefully(self) -> None:
        """Let `GracefulClose` end it; ``_sent`` is what was sent in front of FIN, if it counts."""
        self._closing = True
        GracefulClose(self._loop, self._channel, self._closed, peer_done=self._peer_ended)

    def _closed(self, ending: Ending) -> None:
        """Finish with the ending of `GracefulClose`, where nothing better is known."""
        if self._received is End.NONE and self._sent is not End.ALERT:
            self._received = ending.received  # behind our alert, none is a proper one
        if self._sent is End.NONE or ending.sent is not End.FIN:
            self._sent = ending.sent
        self._finish()

    def _abort_channel(self) -> None:
        self._closing = True
        if self._sent is not End.ALERT:
            self._sent = End.RESET
        self._channel.abort()
        self._finish()

    def _finish(self) -> None:
        self._channel.close()
        # It holds the engine: neither would go without the collector.
        sink, self._sink = self._sink, _NOBODY
        sink.ended(Ending(self._received, self._sent))
