"""One connection inside the worker: first a handshake, then (user mode) a record layer.

The OpenSSL object is kept until the connection ends, because its session lives and dies with it:
freed with its shutdown flags set, the session stays in OpenSSL's cache and may be resumed; freed
without, OpenSSL drops the session. That is the rule of EnableSslCloseNotify. Towards an
upstream there is no session to keep, and the object goes when the handshake is done; so it does
where a client has presented more than should be kept.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from functools import lru_cache

from OpenSSL import SSL

from kssl.fastpath.ipc.frames import (
    KEEP,
    NO_ALERT,
    FrameType,
    pack_broken,
    pack_certificates,
    pack_established,
    pack_failed,
)
from kssl.fastpath.ipc.output import Output
from kssl.fastpath.net.quantum import RECORDS, TURN_RECORDS
from kssl.fastpath.record.layer import RecordLayer
from kssl.fastpath.tls.errors import Alert, PeerAlert, TlsError
from kssl.fastpath.worker.handshake import Established, Failure, Flight, TlsHandshake

# What a client may have presented, for its session to be kept: bytes of DER, and certificates, as
# many as a path may have. OpenSSL keeps them with the session, in four times the size and 4 KiB
# for each (measured); and of sessions it keeps 20,480, for hours.
_MAX_KEPT = 16 * 1024
_MAX_KEPT_CERTIFICATES = 12


@lru_cache(maxsize=256)  # nearly all connections have one of a few
def _info(version: str, cipher: str, server_name: str, alpn: str, group: str, policy: str) -> bytes:
    """`Session` as JSON, without certificates."""
    fields = {
        "version": version,
        "cipher": cipher,
        "server_name": server_name,
        "alpn": alpn,
        "group": group,
        "policy": policy,
    }
    return json.dumps(fields).encode()


def _too_large(certificates: Sequence[bytes]) -> bool:
    return len(certificates) > _MAX_KEPT_CERTIFICATES or sum(map(len, certificates)) > _MAX_KEPT


class WorkerConnection:
    """Answers the front end's frames for one connection by appending frames to ``output``."""

    __slots__ = (
        "_handshake",
        "_id",
        "_kernel_mode",
        "_layer",
        "_many",
        "_opens",
        "_output",
        "_part_told",
        "_ssl",
    )

    def __init__(
        self, identifier: int, handshake: TlsHandshake, kernel_mode: bool, output: Output
    ) -> None:
        self._id = identifier
        self._ssl: SSL.Connection | None = handshake.connection
        self._output = output
        self._handshake: TlsHandshake | None = handshake
        self._layer: RecordLayer | None = None
        self._kernel_mode = kernel_mode
        self._many = False  # the last OPEN that was begun had more than a quantum of records
        self._part_told = False  # OPENED_PART was the last answer: its OPEN is not done
        self._opens: deque[bytes] = deque()  # what came meanwhile; the front end limits it

    @property
    def handshaking(self) -> bool:
        return self._handshake is not None

    def handshake(self, data: memoryview) -> None:
        if self._handshake is not None:  # else it failed; the front end's END is on its way
            self.answer(self._handshake.receive(data))

    def answer(self, step: Flight | Established | Failure) -> None:
        """``step`` is what the handshake came to."""
        if isinstance(step, Flight):
            self._output.frame(FrameType.HANDSHAKE, self._id, step.data)
            return
        self._handshake = None
        if isinstance(step, Established):
            self._established(step)
        else:
            self._output.frame(FrameType.FAILED, self._id, pack_failed(step.data, step.reason))

    def _established(self, step: Established) -> None:
        suite = step.keys.suite.name
        info = _info(step.version, suite, step.server_name, step.alpn, step.group, step.policy)
        if self._kernel_mode:
            keys = step.keys.pack()
        else:
            keys = b""
            self._layer = RecordLayer(step.keys)
        if step.keys.client or _too_large(step.certificates):
            self._ssl = None  # it has no session to keep, so it has done all it can
        certificates = pack_certificates(step.certificates)
        payload = pack_established(
            step.flight, keys, info, step.leftover, step.session_id, certificates
        )
        self._output.frame(FrameType.ESTABLISHED, self._id, payload)

    # -- user mode -------------------------------------------------------------------------

    def open(self, data: memoryview) -> bool:
        """Return whether there is something left for `go_on`: more than a quantum of records
        (`kssl.fastpath.net.quantum`), or all of them if there were more at the last time. Whoever
        sends many again and again never stands in front of those who do not."""
        layer = self._layer
        if layer is None:
            return False
        if self._many or self._opens:
            self._opens.append(bytes(data))
            return True
        if layer.pending:
            data = memoryview(layer.pending + bytes(data))
        return self._open(layer, data)

    def go_on(self) -> bool:
        """Open `TURN_RECORDS` more, of the same OPEN or the next one. Return as `open`."""
        layer = self._layer
        assert layer is not None
        if self._part_told:
            return self._open(layer, memoryview(layer.pending), TURN_RECORDS)
        self._many = False
        return self._open(layer, memoryview(layer.pending + self._opens.popleft()), TURN_RECORDS)

    def _open(self, layer: RecordLayer, data: memoryview, quantum: int = RECORDS) -> bool:
        ended = layer.peer_closed or layer.error is not None
        room = self._output.reserve(len(data))
        size = layer.receive(data, room, quantum)
        self._part_told = layer.more
        if layer.more:
            self._many = True
        kind = FrameType.OPENED_PART if layer.more else FrameType.OPENED
        self._output.commit(kind, self._id, size)
        self._emit(layer)
        if not ended and layer.error is not None:
            self._broken(layer.error)
        elif not ended and layer.peer_closed:
            self._output.frame(FrameType.PEER_CLOSED, self._id, b"")
        return layer.more or bool(self._opens)

    def seal(self, data: memoryview, length: int) -> None:
        """``data`` is the worker's own buffer, writable, with a byte to spare behind ``length``."""
        layer = self._layer
        if layer is None or layer.closed:
            self._output.frame(FrameType.SEALED, self._id, b"")
            return
        room = self._output.reserve(layer.sealed_size(length))
        size = layer.seal(data, length, room)
        self._output.commit(FrameType.SEALED, self._id, size)
        if layer.error is not None:  # a TLS 1.2 key at its limit; its alert is in `room`
            self._broken(layer.error)

    def _broken(self, error: TlsError) -> None:
        told = pack_broken(isinstance(error, PeerAlert), str(error))
        self._output.frame(FrameType.BROKEN, self._id, told)

    def finish(self, alert: int) -> None:
        """Answers in order, so behind all that is still being sealed."""
        layer = self._layer
        if layer is not None:
            if alert == Alert.CLOSE_NOTIFY:
                layer.send_close_notify()
            elif alert != NO_ALERT:
                layer.send_alert(Alert(alert))
            self._output.frame(FrameType.FINISHED, self._id, bytes(layer.outgoing))
            layer.outgoing.clear()

    def _emit(self, layer: RecordLayer) -> None:
        """Sends what the record layer itself has to say, before anything sealed later."""
        if layer.outgoing:
            self._output.frame(FrameType.EMIT, self._id, bytes(layer.outgoing))
            layer.outgoing.clear()

    # -- the end ---------------------------------------------------------------------------

    def end(self, verdict: int) -> None:
        if verdict == KEEP and self._ssl is not None:
            self._ssl.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)
        # Freed now, whoever may still hold this object: that is what drops or keeps the session.
        self._ssl = None
