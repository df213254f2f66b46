"""Kernel mode in the front end: the record layer runs in-process, beside the sockets.

The five steps of seed 004: nothing crosses to the worker after the handshake.
"""

from __future__ import annotations

from typing import ClassVar

from fastpath.channel import describe
from fastpath.engines.base import MAX_UNREAD, ChannelEngine
from fastpath.engines.contract import RECEIVE_SIZE, Handover, Sink
from fastpath.errors import Alert
from fastpath.keys import ConnectionKeys
from fastpath.record.layer import RecordLayer

# All connections of the process share these: plaintext and records pass through them within one
# call, and only what the kernel refuses is copied. A record may wait in front of a batch.
_RECORDS = memoryview(bytearray(RECEIVE_SIZE + 32 * 1024))
_PLAINTEXT = memoryview(bytearray(RECEIVE_SIZE + 32 * 1024))
_SEALED = memoryview(bytearray(2 * RECEIVE_SIZE))
_MAX_SEAL = RECEIVE_SIZE


class AeadEngine(ChannelEngine):
    """Records are opened and sealed in the front end itself."""

    __slots__ = ("_layer",)

    name: ClassVar[str] = "aead"
    kernel_mode: ClassVar[bool] = True

    def __init__(self, handover: Handover, sink: Sink) -> None:
        super().__init__(handover, sink)
        self._layer = RecordLayer(ConnectionKeys.unpack(handover.keys))
        handover.channel.rebind(self._readable, self._drained, self._channel_broken)
        # The worker keeps the session's handle for this connection, but has nothing to tell.
        self._link.rebind(handover.identifier, self)

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
        for position in range(0, len(leftover), RECEIVE_SIZE):
            batch = self._layer.pending + leftover[position : position + RECEIVE_SIZE]
            _RECORDS[: len(batch)] = batch
            self._open(len(batch))
            if self._closing or self._peer_ended:
                return

    def write(self, data: memoryview, length: int) -> None:
        if self._closing:
            return
        layer, channel = self._layer, self._channel
        while length > _MAX_SEAL and not layer.closed:
            channel.send(_SEALED[: layer.seal(data, _MAX_SEAL, _SEALED)])
            data, length = data[_MAX_SEAL:], length - _MAX_SEAL
        if not layer.closed:
            channel.send(_SEALED[: layer.seal(data, length, _SEALED)])
        if layer.error is not None:
            self._loop.call_soon(self._spent)

    def _spent(self) -> None:
        """A TLS 1.2 key reached its limit, and there is no KeyUpdate to go on with."""
        if not self._closing:
            self._fail_with_alert(str(self._layer.error))

    def close(self) -> None:
        if self._closing:
            return
        if self._close_notify:
            self._layer.send_close_notify()
            self._send_outgoing()
        self._close_gracefully()

    def abort(self, alert: Alert | None = None) -> None:
        if self._closing:
            return
        if alert is not None:
            self._failed = True
            self._layer.send_alert(alert)
            self._send_outgoing()
        self._abort_channel()

    # -- the channel -----------------------------------------------------------------------

    def _readable(self) -> None:
        channel, layer = self._channel, self._layer
        if channel.backlog > MAX_UNREAD:
            self._hold_reading()
            return
        waiting = len(layer.pending)
        if waiting:
            _RECORDS[:waiting] = layer.pending
        try:
            received = channel.recv_into(_RECORDS[waiting : waiting + RECEIVE_SIZE])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(describe(error))
            return
        if received:
            self._open(waiting + received)
        else:
            self._peer_finished(clean=False)

    def _open(self, size: int) -> None:
        layer = self._layer
        plaintext = layer.receive(_RECORDS[:size], _PLAINTEXT)
        if layer.outgoing:
            self._send_outgoing()
        if plaintext:
            self._sink.plaintext_received(_PLAINTEXT[:plaintext])
            if self._closing:
                return
        if layer.error is not None:
            self._fail_with_alert(str(layer.error))
        elif layer.peer_closed:
            self._peer_finished(clean=True)

    def _send_outgoing(self) -> None:
        self._channel.send(self._layer.outgoing)
        self._layer.outgoing.clear()

    def _late_records(self, records: memoryview) -> None:
        layer = self._layer
        layer.receive(memoryview(layer.pending + bytes(records)), _PLAINTEXT)
        self._clean = layer.peer_closed

    # -- the link --------------------------------------------------------------------------

    def frame_received(self, kind: int, payload: memoryview) -> None:
        """Nothing: in kernel mode the worker has said all it had to say."""

    def worker_lost(self) -> None:
        """The keys are here, so the connection goes on; only its session is gone."""
