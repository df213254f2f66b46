"""Kernel mode in the front end: the record layer runs in-process, beside the sockets.

The five steps of IIS 7: nothing crosses to the worker after the handshake.
"""

from __future__ import annotations

from typing import ClassVar

from kssl.fastpath.engines.base import MAX_UNREAD
from kssl.fastpath.engines.contract import MAX_PIECE, RECEIVE_SIZE, Handover, Sink
from kssl.fastpath.engines.tls import TlsEngine
from kssl.fastpath.net.channel import describe
from kssl.fastpath.net.closing import End
from kssl.fastpath.record.layer import RecordLayer
from kssl.fastpath.tls.errors import Alert, PeerAlert
from kssl.fastpath.tls.keys import ConnectionKeys

# All connections of the process share these: plaintext and records pass through them within one
# call, and only what the kernel refuses is copied. A record may wait in front of a batch.
_RECORDS = memoryview(bytearray(RECEIVE_SIZE + 32 * 1024))
_PLAINTEXT = memoryview(bytearray(RECEIVE_SIZE + 32 * 1024))
_SEALED = memoryview(bytearray(MAX_PIECE + 16 * 1024))


class AeadEngine(TlsEngine):
    """Records are opened and sealed in the front end itself."""

    __slots__ = ("_layer",)

    name: ClassVar[str] = "aead"
    kernel_mode: ClassVar[bool] = True

    def __init__(self, handover: Handover, sink: Sink) -> None:
        super().__init__(handover, sink)
        self._layer = RecordLayer(ConnectionKeys.unpack(handover.keys))

    @property
    def at_rest(self) -> bool:
        return super().at_rest and not self._layer.pending

    def write(self, data: memoryview, length: int) -> None:
        if self._closing:
            return
        layer, channel, piece = self._layer, self._channel, self._piece
        while length > piece and not layer.closed:
            channel.send_at_once(_SEALED[: layer.seal(data, piece, _SEALED)])
            data, length = data[piece:], length - piece
        if not layer.closed:
            sealed = _SEALED[: layer.seal(data, length, _SEALED)]
            if length <= self._joined:
                channel.send(sealed)
            else:
                channel.send_at_once(sealed)
        if layer.error is not None:
            self._loop.call_soon(self._spent)

    def _spent(self) -> None:
        """Fail: a TLS 1.2 key has reached its limit, and there is no KeyUpdate to go on with."""
        if not self._closing:
            self._records_failed()

    def _records_failed(self) -> None:
        error = self._layer.error
        self._fail_with_alert(str(error), peers=isinstance(error, PeerAlert))

    def close_write(self) -> None:
        if not self._closing:
            self._sent = End.CLOSE_NOTIFY
            self._layer.send_close_notify()
            self._send_outgoing()

    def close(self) -> None:
        if self._closing:
            return
        if self._close_notify:
            self.close_write()
        self._close_gracefully()

    def refuse(self, alert: Alert) -> None:
        if not self._closing:
            self._send_alert(alert)
            self._close_gracefully()

    def abort(self, alert: Alert | None = None) -> None:
        if self._closing:
            return
        if alert is not None:
            self._send_alert(alert)
        self._abort_channel()

    def _send_alert(self, alert: Alert) -> None:
        self._failed = True
        self._alert_sent()
        self._layer.send_alert(alert)
        self._send_outgoing()

    # -- the channel -----------------------------------------------------------------------

    def _readable(self) -> None:
        channel, layer = self._channel, self._layer
        if channel.backlog > MAX_UNREAD:
            self._hold_reading()
            return
        waiting = len(layer.pending)
        if waiting:
            _RECORDS[:waiting] = layer.pending
            if layer.more:
                self._open(_RECORDS[:waiting])
                return
        try:
            received = channel.recv_into(_RECORDS[waiting : waiting + RECEIVE_SIZE])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._fail(describe(error))
            return
        if received:
            self._open(_RECORDS[: waiting + received])
        else:
            self._fin_received()

    def _fin_received(self) -> None:
        self._peer_finished(clean=False)

    def _open(self, records: memoryview) -> None:
        layer = self._layer
        plaintext = layer.receive(records, _PLAINTEXT)
        if layer.outgoing:
            self._send_outgoing()
        if plaintext:
            self._sink.plaintext_received(_PLAINTEXT[:plaintext])
            if self._closing:
                return
        if layer.error is not None:
            self._records_failed()
        elif layer.peer_closed:
            self._peer_finished(clean=True)
        elif layer.more:
            self._channel.read_again()

    def _send_outgoing(self) -> None:
        self._channel.send(self._layer.outgoing)
        self._layer.outgoing.clear()

    def _late_records(self, records: memoryview) -> None:
        layer = self._layer
        layer.receive(memoryview(layer.pending + bytes(records)), _PLAINTEXT)
        while layer.more:  # `GracefulClose` reads little at a time for this
            layer.receive(memoryview(layer.pending), _PLAINTEXT)
        if layer.peer_closed:
            self._received = End.CLOSE_NOTIFY

    # -- the link --------------------------------------------------------------------------

    def frame_received(self, kind: int, payload: memoryview) -> None:
        """Ignore it: in kernel mode the worker has said all that it had to say."""

    def worker_lost(self) -> None:
        """Go on, for the keys are here; only the session is gone."""
