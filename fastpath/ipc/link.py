"""The front end's end of the socketpair: frames out in batches, frames in to their connections."""

from __future__ import annotations

import logging
import socket
from asyncio import AbstractEventLoop, Future
from collections.abc import Callable

from kssl.fastpath.ipc.control import Control, Counts
from kssl.fastpath.ipc.frames import DROP, HEADER, KEEP, MAX_PAYLOAD, FrameType, parse, pieces
from kssl.fastpath.ipc.receiver import Receiver
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.net.channel import Channel
from kssl.fastpath.net.poller import Poller

log = logging.getLogger("kssl")

# One buffer for everything the worker says: some of its largest batches.
_BUFFER_SIZE = 4 * MAX_PAYLOAD

# A larger payload is not copied into the batch but sent from where it lies, in bytes.
_COPIED = 16 * 1024

# How long the news that connections have ended may wait for something else to say, in seconds.
_END_DELAY = 0.1


class WorkerLink:
    """The front end's end of a socketpair, and who gets the frames of each connection.

    Frames for the worker are collected during a turn of the event loop and written at its end. The
    front end never waits for the worker: reading goes on whatever is still to be written, so
    the two cannot block each other. The engines limit what may be outstanding.
    """

    def __init__(
        self, loop: AbstractEventLoop, sock: socket.socket, on_lost: Callable[[WorkerLink], None]
    ) -> None:
        sock.setblocking(False)
        self._loop = loop
        self._poller = Poller.of(loop)
        self._on_lost = on_lost
        self._channel = Channel(loop, sock, self._readable, lambda: None, self._broken, local=True)
        self._batch = bytearray()
        self._flushing = False
        self._ends_wait = False
        self._buffer = memoryview(bytearray(_BUFFER_SIZE))
        self._have = 0
        self._control = Control(loop)
        self._receivers: dict[int, Receiver] = {0: self._control}
        self._next = 1
        self.lost = False
        self._channel.start_reading()

    @property
    def backlog(self) -> int:
        """The bytes that wait because the worker has not read what came before them."""
        return self._channel.backlog

    def open(self, receiver: Receiver) -> int:
        """Return a new connection number for ``receiver``; none is used twice within 2^32."""
        identifier = self._next
        self._next = identifier + 1 if identifier < 0xFFFFFFFF else 1
        self._receivers[identifier] = receiver
        return identifier

    def rebind(self, identifier: int, receiver: Receiver) -> None:
        """Hand a connection to another receiver, as the handshake does to the engine."""
        self._receivers[identifier] = receiver

    def end(self, identifier: int, *, resumable: bool) -> None:
        """Forget a connection; the worker keeps its session only if it is ``resumable``."""
        if self._receivers.pop(identifier, None) is not None and not self.lost:
            self._batch += HEADER.pack(1, identifier, FrameType.END)
            self._batch.append(KEEP if resumable else DROP)
            # Not worth waking the worker for: it goes with the next frame, or soon.
            if not self._ends_wait:
                self._ends_wait = True
                self._loop.call_later(_END_DELAY, self._flush_ends)

    def send(self, kind: FrameType, identifier: int, *parts: bytes | memoryview) -> None:
        """Add one frame, its payload in ``parts``, to this turn's batch."""
        if self.lost:
            return
        batch = self._batch
        size = sum(map(len, parts))
        batch += HEADER.pack(size, identifier, kind)
        if size > _COPIED:
            self._channel.send_parts(batch, *parts)
            batch.clear()
            return
        for part in parts:
            batch += part
        if not self._flushing:
            self._flushing = True
            self._poller.at_end(self._flush)

    def configure(self, kind: FrameType, payload: bytes, receiver: Receiver) -> None:
        """Send CONFIGURE, RESTORE or RECONFIGURE; ``receiver`` gets READY or REFUSED."""
        self._control.configuring = receiver
        for piece in pieces(payload):
            self.send(kind, 0, piece)

    def count(self) -> Future[Counts | None]:
        """Return a future of the next COUNTS, None if the worker dies before. Callers share it."""
        if not self._control.counting:
            self.send(FrameType.COUNT, 0)
        return self._control.next_counts()

    def give_up(self) -> None:
        """Treat the worker as lost: all receivers hear of it, and it ends."""
        self._broken(None)

    def close(self) -> None:
        """Close the socketpair. The worker ends when its end does."""
        if not self.lost:
            self.lost = True
            self._channel.close()

    def _flush_ends(self) -> None:
        self._ends_wait = False
        self._flush()

    def _flush(self) -> None:
        self._flushing = False
        if self._batch and not self.lost:
            self._channel.send_at_once(self._batch)
            self._batch.clear()

    def _readable(self) -> None:
        buffer = self._buffer
        try:
            received = self._channel.recv_into(buffer[self._have :])
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._broken(error)
            return
        if not received:
            self._broken(None)
            return
        self._have += received
        done = 0
        receivers = self._receivers
        try:
            for kind, identifier, start, end in parse(buffer, self._have):
                receiver = receivers.get(identifier)
                if receiver is not None:
                    try:
                        receiver.frame_received(kind, buffer[start:end])
                    except Exception:  # one connection's bug must not stop the others' frames
                        log.exception(
                            "internal error in connection %d", identifier, extra=limited("Internal")
                        )
                done = end
        except ValueError as error:
            log.error("nonsense from the crypto worker: %s", error)
            self._broken(None)
            return
        if done:
            buffer[: self._have - done] = bytes(buffer[done : self._have])
            self._have -= done

    def _broken(self, error: OSError | None) -> None:
        if self.lost:
            return
        self.lost = True
        self._channel.close()
        receivers, self._receivers = self._receivers, {}
        self._on_lost(self)
        for receiver in receivers.values():
            try:
                receiver.worker_lost()
            except Exception:  # the others must hear of it too
                log.exception("internal error after the worker was lost", extra=limited("Internal"))
