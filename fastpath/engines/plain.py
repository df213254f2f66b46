"""The engine without TLS: for http:// listeners, whose HTTP connections need not know.

It is not among the engines that one can choose, because it protects nothing.
"""

from __future__ import annotations

from typing import ClassVar

from kssl.fastpath.engines.base import MAX_UNREAD, ChannelEngine
from kssl.fastpath.engines.contract import RECEIVE_SIZE, Handover, Sink
from kssl.fastpath.net.channel import describe
from kssl.fastpath.tls.errors import Alert

# All connections of the process share it: what the sink does not use within the call, it copies.
_RECEIVED = memoryview(bytearray(RECEIVE_SIZE))


class PlainEngine(ChannelEngine):
    """An engine that sends plaintext. FIN is the only end that TCP has, so it is a clean one."""

    __slots__ = ("_write_ended",)

    name: ClassVar[str] = "plain"
    kernel_mode: ClassVar[bool] = False

    def __init__(self, handover: Handover, sink: Sink) -> None:
        """Begin without keys: of ``handover``, the loop, the channel and ``max_send`` count."""
        super().__init__(handover, sink)
        self._write_ended = False
        handover.channel.rebind(self._readable, self._drained, self._channel_broken)

    def start(self, leftover: bytes) -> None:
        self._channel.start_reading()
        if leftover:
            self._sink.plaintext_received(memoryview(leftover))

    def write(self, data: memoryview, length: int) -> None:
        if self._closing:
            return
        channel, piece = self._channel, self._piece
        start = 0
        while length - start > piece:
            channel.send_at_once(data[start : start + piece])
            start += piece
        if length - start > self._joined:
            channel.send_at_once(data[start:length])
        elif length > start:
            channel.send(data[start:length])

    def close_write(self) -> None:
        self._write_ended = True
        if not self._closing and not self._channel.backlog:
            self._channel.shutdown_write()

    def close(self) -> None:
        if not self._closing:
            self._close_gracefully()

    def refuse(self, alert: Alert) -> None:
        """Close: there are no alerts without TLS."""
        self.close()

    def abort(self, alert: Alert | None = None) -> None:
        """Send RST, and nothing in front of it: there are no alerts without TLS."""
        if not self._closing:
            self._abort_channel()

    def _writable(self) -> None:
        if self._write_ended:
            self._channel.shutdown_write()
        else:
            super()._writable()

    def _readable(self) -> None:
        channel = self._channel
        if channel.backlog > MAX_UNREAD:
            self._hold_reading()
            return
        try:
            received = channel.recv_into(_RECEIVED)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(describe(error))
            return
        if received:
            self._sink.plaintext_received(_RECEIVED[:received])
        else:
            self._peer_finished(clean=True)
