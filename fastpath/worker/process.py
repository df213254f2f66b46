"""The worker's process: one blocking loop over one socketpair.

It reads whatever has arrived, answers every complete frame, and writes all answers at once. No
event loop is needed: there is one peer, and the front end never stops reading. When the front
end is gone, the read ends and so does the process.

What takes long waits until everything else is answered: handshakes, records beyond a quantum, and
all records of a connection that had more than a quantum of them before. The socket is looked at
again between two of these, so that the records of one connection wait for no more than
one handshake and one turn of others. Between them the core is offered to others as well
(sched_yield): the front end may share it, and the kernel lets a process that never sleeps run for
up to 4 ms. What handshakes have to say is written for several of them together, or with what
records have to say: each write wakes the front end, and on a core that both share a write for each
step makes handshakes a fifth dearer.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import sys
from collections import OrderedDict
from os import sched_yield
from pathlib import Path
from typing import Any

from kssl.fastpath.ipc import collector
from kssl.fastpath.ipc.frames import (
    BEGIN,
    MAX_PAYLOAD,
    FrameType,
    Joined,
    pack_failed,
    parse,
    pieces,
)
from kssl.fastpath.ipc.hardening import become_helper
from kssl.fastpath.ipc.output import Output
from kssl.fastpath.logs import messages
from kssl.fastpath.record.wire import alert_record
from kssl.fastpath.tls.errors import Alert
from kssl.fastpath.worker.client_handshake import ClientHandshake
from kssl.fastpath.worker.connections import WorkerConnection
from kssl.fastpath.worker.handshake import TlsHandshake
from kssl.fastpath.worker.server_handshake import ServerHandshake
from kssl.fastpath.worker.store import CertificatesError, ContextStore, UnknownEndpointError
from kssl.fastpath.worker.upstreams import UnknownUpstreamError

log = logging.getLogger("kssl.worker")

_INTERNAL_ERROR = alert_record(Alert.INTERNAL_ERROR)

# Several of the largest frames, and one spare byte: sealing writes TLS 1.3's content type behind
# the plaintext for a moment, also when that is the last byte received.
_BUFFER_SIZE = 4 * MAX_PAYLOAD + 1

# Plain numbers: to look a member up in its class takes 50 ns.
_SEAL = int(FrameType.SEAL)
_RECORDS = (_SEAL, int(FrameType.OPEN))

# Steps of handshakes that share a write, unless records are answered in between: each write wakes
# the front end. They take 0.1 to 0.2 ms each, and the first of them waits for the last.
_UNSENT_STEPS = 8

_HANDSHAKES = (FrameType.BEGIN, FrameType.HANDSHAKE, FrameType.CONNECT)


class Worker:
    """All connections of one front end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._output = Output(sock)
        self._settings = Joined()
        self._store: ContextStore | None = None
        # State folder; whether keys are handed over; TlsPreset.
        self._fixed: tuple[str, bool, str] | None = None
        self._connections: dict[int, WorkerConnection] = {}
        # In order. Of a connection one handshake's frame at most is on its way.
        self._handshakes: OrderedDict[int, tuple[int, bytes]] = OrderedDict()
        self._opening: OrderedDict[int, WorkerConnection] = OrderedDict()

    def run(self) -> None:
        """Returns when the front end closes its end of the socketpair."""
        view = memoryview(bytearray(_BUFFER_SIZE))
        have = 0
        unsent = 0  # steps of handshakes since the last write
        while True:
            received = self._receive(view[have:-1])
            if received == 0:
                return
            if received is not None:
                have += received
                done, before = 0, self._output.size
                for kind, connection, start, end in parse(view, have):
                    self._handle(kind, connection, view, start, end)
                    done = end
                if done:
                    view[: have - done] = bytes(view[done:have])
                    have -= done
                if self._output.size != before or not self._handshakes:
                    self._output.flush()
                    unsent = 0
            if self._opening:
                self._open_on()
                self._output.flush()
                unsent = 0
            if self._handshakes:
                self._shake()
                unsent += 1
                if unsent == _UNSENT_STEPS or not self._handshakes:
                    self._output.flush()
                    unsent = 0
            if self._opening or self._handshakes:
                sched_yield()

    def _receive(self, room: memoryview) -> int | None:
        """None: nothing is there, and something else is to be done."""
        if not (self._opening or self._handshakes):
            return self._sock.recv_into(room)
        try:
            return self._sock.recv_into(room, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None

    def _open_on(self) -> None:
        """Go on with the connection whose turn it is."""
        identifier, connection = self._opening.popitem(last=False)
        if connection.go_on():
            self._opening[identifier] = connection

    def _shake(self) -> None:
        """The next handshake's next step."""
        identifier, (kind, payload) = self._handshakes.popitem(last=False)
        if kind == FrameType.BEGIN:
            self._begin(identifier, memoryview(payload))
        elif kind == FrameType.CONNECT:
            self._connect(identifier, memoryview(payload))
        elif identifier in self._connections:
            self._connections[identifier].handshake(memoryview(payload))

    def _handle(self, kind: int, identifier: int, view: memoryview, start: int, end: int) -> None:
        if kind in _RECORDS:  # nearly all of them, in user mode
            known = self._connections.get(identifier)
            if known is None:
                return  # ended while this frame was on its way
            if kind == _SEAL:
                known.seal(view[start : end + 1], end - start)
            elif known.open(view[start:end]):
                self._opening[identifier] = known
            return
        if kind in (FrameType.CONFIGURE, FrameType.RECONFIGURE, FrameType.RESTORE):
            settings = self._settings.add(view[start:end])
            if settings is not None:
                while self._handshakes:  # they began under the configuration before
                    self._shake()
                self._configure(json.loads(settings), FrameType(kind))
            return
        if kind in _HANDSHAKES:
            self._handshakes[identifier] = kind, bytes(view[start:end])
            return
        if kind == FrameType.END:
            self._handshakes.pop(identifier, None)
            self._opening.pop(identifier, None)
            ended = self._connections.pop(identifier, None)
            if ended is not None:
                ended.end(view[start])
            return
        known = self._connections.get(identifier)
        if known is None:  # connection 0, or ended while this frame was on its way
            if kind == FrameType.COUNT:
                self._count()
            return
        if kind == FrameType.FINISH:
            known.finish(view[start])
        else:
            raise RuntimeError(f"unknown frame type {kind}")

    def _begin(self, identifier: int, payload: memoryview) -> None:
        kernel_mode, endpoint = BEGIN.unpack_from(payload)
        store = self._allowed("BEGIN", kernel_mode)
        try:
            handshake = ServerHandshake(*store.accept(endpoint))
        except UnknownEndpointError as error:
            self._output.frame(
                FrameType.FAILED, identifier, pack_failed(_INTERNAL_ERROR, str(error))
            )
            return
        self._add(identifier, handshake, kernel_mode).handshake(payload[BEGIN.size :])

    def _connect(self, identifier: int, payload: memoryview) -> None:
        """See `pack_connect`."""
        kernel_mode, upstream = payload[0], str(payload[1:], "utf-8")
        store = self._allowed("CONNECT", kernel_mode)
        try:
            handshake = ClientHandshake(store.connect(upstream))
        except UnknownUpstreamError as error:
            self._output.frame(FrameType.FAILED, identifier, pack_failed(b"", str(error)))
            return
        self._add(identifier, handshake, kernel_mode).answer(handshake.start())

    def _allowed(self, frame: str, kernel_mode: int) -> ContextStore:
        """A front end that is our own asks for nothing else. Raises RuntimeError: the end."""
        if self._store is None or self._fixed is None:
            raise RuntimeError(f"{frame} before CONFIGURE")
        if kernel_mode and not self._fixed[1]:
            raise RuntimeError("keys were asked for in user mode")
        return self._store

    def _add(self, identifier: int, handshake: TlsHandshake, kernel_mode: int) -> WorkerConnection:
        connection = WorkerConnection(identifier, handshake, bool(kernel_mode), self._output)
        self._connections[identifier] = connection
        return connection

    def _count(self) -> None:
        counts = {
            "connections": len(self._connections),
            "handshakes": sum(each.handshaking for each in self._connections.values()),
            **messages.told(),
        }
        self._output.frame(FrameType.COUNTS, 0, json.dumps(counts).encode())

    def _configure(self, wanted: dict[str, Any], kind: FrameType) -> None:
        """Handshakes wait meanwhile, and in user mode records. Connections go on with what they
        began with."""
        again = kind == FrameType.RECONFIGURE
        fixed = (wanted["state_dir"], bool(wanted["kernel_mode"]), wanted["preset"])
        if not again and self._fixed is not None:
            raise RuntimeError("CONFIGURE a second time")
        if again and self._store is None:
            raise RuntimeError("RECONFIGURE before CONFIGURE")
        if again and fixed != self._fixed:
            raise RuntimeError("RECONFIGURE with another mode, state folder or TlsPreset")
        self._fixed = fixed
        store = self._store or ContextStore(Path(wanted["state_dir"]), preset=wanted["preset"])
        problems: list[str] = []
        try:
            if kind == FrameType.RESTORE:
                problems = store.restore(wanted["tls"])
            else:
                store.load(wanted["tls"])
        except CertificatesError as error:
            self._answer(FrameType.REFUSED, "\n".join(error.problems).encode())
            return
        self._store = store
        answer = {
            "ca": str(store.ca_path) if store.ca_path else None,
            "warnings": store.warnings,
            "problems": problems,
        }
        self._answer(FrameType.READY, json.dumps(answer).encode())

    def _answer(self, kind: FrameType, payload: bytes) -> None:
        for piece in pieces(payload):
            self._output.frame(kind, 0, piece)


def main() -> int:
    """``python -m kssl.fastpath.worker FD``: FD is the worker's end of the socketpair."""
    link = int(sys.argv[1])
    become_helper(link)
    messages.take_over("kssl worker")
    collector.tune()
    with socket.socket(fileno=link) as sock, contextlib.suppress(ConnectionError):
        Worker(sock).run()
    return 0
