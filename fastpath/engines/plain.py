"""No TLS at all."""
# STAND-IN

from __future__ import annotations

from typing import ClassVar

from fastpath.channel import describe
from fastpath.engines.base import MAX_UNREAD, ChannelEngine
from fastpath.engines.contract import RECEIVE_SIZE, Handover, Sink
from fastpath.errors import Alert

_PLAINTEXT = memoryview(bytearray(RECEIVE_SIZE))


class _NoLink:
    def end(self, identifier: int, *, resumable: bool | None) -> None: ...


class PlainEngine(ChannelEngine):
    __slots__ = ()

    name: ClassVar[str] = "plain"
    kernel_mode: ClassVar[bool] = False

    def __init__(self, handover: Handover, sink: Sink) -> None:
        super().__init__(handover, sink)
        self._link = _NoLink()  # type: ignore[assignment]
        self._close_notify = False
        handover.channel.rebind(self._readable, self._drained, self._channel_broken)

    @property
    def backlog(self) -> int:
        return self._channel.backlog

    @property
    def congested(self) -> bool:
        return self._channel.backlog > 0

    def outstanding(self) -> int:
        return self._channel.outstanding()

    def start(self, leftover: bytes) -> None:
        self._channel.start_reading()

    def write(self, data: memoryview, length: int) -> None:
        if not self._closing:
            self._channel.send(data[:length])

    def close(self) -> None:
        if not self._closing:
            self._close_gracefully()

    def abort(self, alert: Alert | None = None) -> None:
        if not self._closing:
            self._abort_channel()

    def _readable(self) -> None:
        if self._channel.backlog > MAX_UNREAD:
            self._hold_reading()
            return
        try:
            received = self._channel.recv_into(_PLAINTEXT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(describe(error))
            return
        if received:
            self._sink.plaintext_received(_PLAINTEXT[:received])
        else:
            self._peer_finished(clean=True)
