"""The worker's process: one blocking loop over one socketpair.

It reads whatever has arrived, answers every complete frame, and writes all answers at once. No
event loop is needed: there is one peer, and the front end never stops reading. When the front
end is gone, the read ends and so does the process.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import sys
from pathlib import Path

from config.errors import ConfigError
from fastpath import collector
from fastpath.hardening import become_helper
from fastpath.worker.connections import WorkerConnection
from fastpath.worker.contexts import ContextStore
from fastpath.worker.frames import MAX_PAYLOAD, FrameType, parse
from fastpath.worker.output import Output

log = logging.getLogger("kssl.worker")

# Several of the largest frames, and one spare byte: sealing writes TLS 1.3's content type behind
# the plaintext for a moment, also when that is the last byte received.
_BUFFER_SIZE = 4 * MAX_PAYLOAD + 1


class Worker:
    """All connections of one front end."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._output = Output(sock)
        self._store: ContextStore | None = None
        self._configured = False
        self._hands_over_keys = False
        self._connections: dict[int, WorkerConnection] = {}

    def run(self) -> None:
        """Returns when the front end closes its end of the socketpair."""
        view = memoryview(bytearray(_BUFFER_SIZE))
        have = 0
        while True:
            received = self._sock.recv_into(view[have:-1])
            if not received:
                return
            have += received
            done = 0
            for kind, connection, start, end in parse(view, have):
                self._handle(kind, connection, view, start, end)
                done = end
            self._output.flush()
            if done:
                view[: have - done] = bytes(view[done:have])
                have -= done

    def _handle(self, kind: int, identifier: int, view: memoryview, start: int, end: int) -> None:
        if kind == FrameType.CONFIGURE:
            self._configure(bytes(view[start:end]))
            return
        if kind == FrameType.BEGIN:
            if self._store is None:
                raise RuntimeError("BEGIN before CONFIGURE")
            if view[start] and not self._hands_over_keys:
                raise RuntimeError("keys were asked for in user mode")
            connection = WorkerConnection(identifier, self._store.connection(), self._output)
            self._connections[identifier] = connection
            connection.begin(bool(view[start]), view[start + 1 : end])
            return
        if kind == FrameType.END:
            ended = self._connections.pop(identifier, None)
            if ended is not None:
                ended.end(view[start])
            return
        known = self._connections.get(identifier)
        if known is None:
            return  # ended while this frame was on its way
        if kind == FrameType.SEAL:
            known.seal(view[start : end + 1], end - start)
        elif kind == FrameType.OPEN:
            known.open(view[start:end])
        elif kind == FrameType.HANDSHAKE:
            known.handshake(view[start:end])
        elif kind == FrameType.FINISH:
            known.finish(view[start])
        else:
            raise RuntimeError(f"unknown frame type {kind}")

    def _configure(self, payload: bytes) -> None:
        if self._configured:
            raise RuntimeError("CONFIGURE a second time")
        self._configured = True
        wanted = json.loads(payload)
        self._hands_over_keys = bool(wanted["kernel_mode"])
        try:
            self._store = ContextStore(
                certificate=_path(wanted["certificate"]),
                key=_path(wanted["key"]),
                state_dir=Path(wanted["state_dir"]),
                names=wanted["names"],
            )
        except ConfigError as error:
            self._output.frame(FrameType.REFUSED, 0, str(error).encode())
            return
        answer = {
            "ca": str(self._store.ca_path) if self._store.ca_path else None,
            "warnings": self._store.warnings,
        }
        self._output.frame(FrameType.READY, 0, json.dumps(answer).encode())


def _path(text: str | None) -> Path | None:
    return Path(text) if text is not None else None


def main() -> int:
    """``python -m fastpath.worker FD``: FD is the worker's end of the socketpair."""
    link = int(sys.argv[1])
    become_helper(link)
    logging.basicConfig(format="kssl worker: %(message)s", level=logging.WARNING)
    collector.tune()
    with socket.socket(fileno=link) as sock, contextlib.suppress(ConnectionError):
        Worker(sock).run()
    return 0
