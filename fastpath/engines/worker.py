"""User mode: every record makes the round trip to the crypto worker.

The nine steps of IIS 6: client → front end → worker → front end → upstream, and back again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from kssl.fastpath.engines.base import MAX_UNREAD
from kssl.fastpath.engines.contract import RECEIVE_SIZE, Handover, Sink
from kssl.fastpath.engines.tls import TlsEngine
from kssl.fastpath.ipc.frames import NO_ALERT, FrameType, unpack_broken
from kssl.fastpath.net.channel import describe
from kssl.fastpath.net.closing import End
from kssl.fastpath.tls.errors import Alert

_RECORDS = memoryview(bytearray(RECEIVE_SIZE))

# Records that may be at the worker, not yet answered, in bytes. More than one batch on the way was
# measured not to be faster, and each costs its size for every connection that stands still.
_MAX_UNOPENED = RECEIVE_SIZE

# Plaintext that may be at the worker before the sink is asked to wait, in bytes: likewise.
_MAX_UNSEALED = RECEIVE_SIZE


class WorkerEngine(TlsEngine):
    """Every record makes the round trip to the crypto worker."""

    __slots__ = (
        "_failure",
        "_finishing",
        "_late_held",
        "_parts",
        "_unopened",
        "_unopened_sizes",
        "_unsealed",
        "_unsealed_sizes",
        "_when_finished",
    )

    name: ClassVar[str] = "worker"
    kernel_mode: ClassVar[bool] = False

    def __init__(self, handover: Handover, sink: Sink) -> None:
        super().__init__(handover, sink)
        self._unopened = 0  # bytes of records at the worker, and each frame's size
        self._unopened_sizes: deque[int] = deque()
        self._parts = bytearray()  # plaintext that waits for a turn: see `_part_opened`
        self._unsealed = 0  # bytes of plaintext at the worker
        self._unsealed_sizes: deque[int] = deque()
        self._late_held = False  # what comes late is read as fast as the worker opens it
        self._failure = ""  # why the socket failed, while the worker opens what came before
        self._finishing = False  # the socket is closed, and the worker's last word is waited for
        self._when_finished: Callable[[], None] | None = None

    @property
    def backlog(self) -> int:
        return self._unsealed + self._channel.backlog

    @property
    def congested(self) -> bool:
        return self._channel.backlog > 0 or self._unsealed >= _MAX_UNSEALED

    @property
    def at_rest(self) -> bool:
        return super().at_rest and not (self._unopened_sizes or self._unsealed_sizes)

    def outstanding(self) -> int:
        return self._unsealed + self._channel.outstanding()

    def write(self, data: memoryview, length: int) -> None:
        if self._closing:
            return
        start, piece = 0, self._piece
        while start < length:
            size = min(length - start, piece)
            self._link.send(FrameType.SEAL, self._identifier, data[start : start + size])
            self._unsealed += size
            self._unsealed_sizes.append(size)
            start += size

    def _read_on(self) -> None:
        if self._unopened < _MAX_UNOPENED:
            super()._read_on()

    def close_write(self) -> None:
        if not self._closing:
            self._sent = End.CLOSE_NOTIFY
            self._link.send(FrameType.FINISH, self._identifier, bytes([Alert.CLOSE_NOTIFY]))

    def close(self) -> None:
        if not self._closing and self._close_notify:
            self._sent = End.CLOSE_NOTIFY
        self._end(self._close_gracefully, Alert.CLOSE_NOTIFY if self._close_notify else NO_ALERT)

    def refuse(self, alert: Alert) -> None:
        self._end_with_alert(self._close_gracefully, alert)

    def abort(self, alert: Alert | None = None) -> None:
        if alert is not None:
            self._end_with_alert(self._abort_channel, alert)
        elif not self._closing:
            self._abort_channel()

    def _end_with_alert(self, then: Callable[[], None], alert: Alert) -> None:
        if not self._closing:
            self._failed = True
            self._alert_sent()
        self._end(then, alert)

    def _end(self, then: Callable[[], None], alert: int) -> None:
        """Ask for the last records; the worker answers behind all that is still being sealed."""
        if self._closing:
            return
        self._closing = True
        self._channel.stop_reading()
        if self._link.lost:
            self._abort_channel()
        else:
            self._when_finished = then
            self._link.send(FrameType.FINISH, self._identifier, bytes([alert]))

    # -- the channel -----------------------------------------------------------------------

    def _readable(self) -> None:
        if self._channel.backlog > MAX_UNREAD:
            self._hold_reading()
            return
        try:
            received = self._channel.recv_into(_RECORDS)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(describe(error))
            return
        if received:
            self._open(_RECORDS[:received])
        else:
            self._fin_received()

    def _fin_received(self) -> None:
        # The worker's answer to an empty OPEN comes behind all that it has to tell about the
        # records in front of the FIN, a close_notify among them.
        self._peer_ended = True
        self._channel.stop_reading()
        self._open(_RECORDS[:0])

    def _fail(self, reason: str) -> None:
        """Fail when the worker has opened what came before the reset.

        As in kernel mode, the sink gets it: an upstream's answer may be among it, or close_notify.
        """
        if not self._unopened_sizes or self._link.lost:
            super()._fail(reason)
        elif not self._failure:
            self._failure = reason
            if not self._clean:
                self._received = End.RESET
            self._peer_ended = True
            self._channel.stop_reading()
            self._ask(_RECORDS[:0])

    def _open(self, records: memoryview) -> None:
        self._ask(records)
        if self._unopened >= _MAX_UNOPENED:
            self._channel.stop_reading()

    def _ask(self, records: memoryview) -> None:
        self._link.send(FrameType.OPEN, self._identifier, records)
        self._unopened += len(records)
        self._unopened_sizes.append(len(records))

    def _writable(self) -> None:
        if not self._closing and self._unsealed < _MAX_UNSEALED:
            self._sink.writable()

    # -- the link --------------------------------------------------------------------------

    def frame_received(self, kind: int, payload: memoryview) -> None:
        if kind == FrameType.SEALED:
            size = self._unsealed_sizes.popleft()
            self._unsealed -= size
            if len(payload):  # none when the records ended before
                if size <= self._joined:
                    self._channel.send(payload)
                else:
                    self._channel.send_at_once(payload)
            if not self._channel.backlog:
                self._writable()
        elif kind == FrameType.OPENED:
            self._opened(payload)
        elif kind == FrameType.OPENED_PART:
            self._part_opened(payload)
        elif kind == FrameType.EMIT:
            self._channel.send(payload)
        elif kind == FrameType.FINISHED:
            self._channel.send(payload)
            if self._when_finished is not None:
                then, self._when_finished = self._when_finished, None
                then()
        elif kind == FrameType.PEER_CLOSED:
            if self._closing:
                self._received = End.CLOSE_NOTIFY
            else:
                self._peer_finished(clean=True)
        elif kind == FrameType.BROKEN and not self._closing:
            peers, reason = unpack_broken(payload)
            self._fail_with_alert(reason, peers=peers)

    def _part_opened(self, payload: memoryview) -> None:
        """The worker gives out very many records in many small parts, for the sake of others
        there. Here they wait for a turn behind others, and so they join."""
        if self._closing:
            return
        if not self._parts:
            self._channel.poller.again(self)
        self._parts += payload

    def read_on(self) -> None:
        """See `kssl.fastpath.net.poller.Again`: tell the parts that have come."""
        if self._parts and not self._closing:
            self._sink.plaintext_received(self._take_parts())

    def crashed(self) -> None:
        """See `kssl.fastpath.net.poller.Again`."""
        self._channel.crashed()

    def _take_parts(self) -> memoryview:
        parts, self._parts = self._parts, bytearray()
        return memoryview(parts)

    def _opened(self, payload: memoryview) -> None:
        self._unopened -= self._unopened_sizes.popleft()
        if self._parts:
            self._parts += payload
            payload = self._take_parts()
        if len(payload) and not self._closing:
            self._sink.plaintext_received(payload)
        if self._closing:
            if self._finishing:
                if not self._unopened_sizes:
                    super()._finish()
            elif self._late_held and self._unopened < _MAX_UNOPENED:
                self._late_held = False
                self._channel.start_reading()
            return
        if not self._peer_ended:
            self._read_on()
        elif self._failure:
            if not self._unopened_sizes:
                super()._fail(self._failure)
        elif not self._unopened_sizes and not self._clean:
            self._peer_finished(clean=False)  # that was the answer to the FIN's empty OPEN

    def _late_records(self, records: memoryview) -> None:
        # All of them, for close_notify is behind what a client was still sending.
        self._ask(records)
        if self._unopened >= _MAX_UNOPENED:
            self._late_held = True
            self._channel.stop_reading()

    def _finish(self) -> None:
        """Finish when the worker has said whether the last records were the peer's close_notify.

        Its answer to an empty OPEN comes behind that.
        """
        self._when_finished = None  # it holds this object
        told = self._peer_ended and not self._unopened_sizes
        if told or self._link.lost or self._clean or self._failed or not self._close_notify:
            super()._finish()
        elif not self._finishing:
            self._finishing = True
            self._channel.close()
            self._ask(_RECORDS[:0])

    def worker_lost(self) -> None:
        """End the connection: its keys have died with the worker."""
        if self._finishing:
            super()._finish()
        elif self._when_finished is not None:
            self._abort_channel()  # what it had not sealed yet is lost; FIN would hide that
        self.read_on()  # which may close it
        if not self._closing:
            self._closing = True
            self._sink.engine_failed("crypto worker died; its connections in user mode are lost")
            self._abort_channel()
