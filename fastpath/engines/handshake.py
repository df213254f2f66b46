"""The front end's part of a handshake: it carries bytes between the peer and the worker.

The peer is a client, whose first bytes go to the worker with BEGIN, or an upstream, towards which
the worker makes the first bytes itself (CONNECT).

One message is out at a time. While the worker has it, what the peer sends is kept here, up to
a limit. So nothing is lost when a handshake ends: the worker returns what it did not need.

A worker that dies takes its handshakes with it, except those to which no byte was answered yet:
they are put to the next worker from the start.
"""

from __future__ import annotations

import json
from asyncio import AbstractEventLoop
from dataclasses import replace
from functools import lru_cache
from typing import Protocol

from kssl.fastpath.engines.contract import Session
from kssl.fastpath.ipc.frames import MAX_PAYLOAD, FrameType, unpack_certificates, unpack_established
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.sessions import SessionOwners
from kssl.fastpath.ipc.supervisor import Supervisor
from kssl.fastpath.net.channel import Channel, describe
from kssl.fastpath.net.closing import GracefulClose
from kssl.fastpath.record.wire import alert_record
from kssl.fastpath.tls.errors import Alert

_BUFFER = memoryview(bytearray(65536))

_INTERNAL_ERROR = alert_record(Alert.INTERNAL_ERROR)

# What a peer may send ahead while the worker is busy with its last message, in bytes.
_MAX_AHEAD = 64 * 1024


@lru_cache(maxsize=256)  # nearly all connections have one of a few
def _session(info: bytes) -> Session:
    return Session(**json.loads(info))


_CLOSED = {
    FrameType.BEGIN: "client closed during the handshake",
    FrameType.CONNECT: "it closed the connection during the TLS handshake",
}


class HandshakeOwner(Protocol):
    """The owner of a handshake, who waits for its outcome. Exactly one method is called, once."""

    def handshake_done(
        self, session: Session, link: WorkerLink, identifier: int, keys: bytes, leftover: bytes
    ) -> None:
        """Take over the channel; reading is off."""

    def handshake_failed(self, reason: str) -> None:
        """Hear why it failed. The alert, if any, is on its way, and the channel is closed."""


class Handshake:
    """One handshake with a peer, from the first byte on."""

    def __init__(
        self,
        loop: AbstractEventLoop,
        channel: Channel,
        supervisor: Supervisor,
        owner: HandshakeOwner,
        *,
        begin: tuple[FrameType, bytes],
        first_bytes: bytes = b"",
        sessions: SessionOwners | None = None,
    ) -> None:
        """Begin a handshake.

        ``begin`` is BEGIN with `pack_begin`, where ``first_bytes`` are what the client has sent; or
        CONNECT with `pack_connect`, on a channel that is connected to the upstream. ``sessions``
        learns that the worker has the client's session.
        """
        self._loop = loop
        self._channel = channel
        self._supervisor = supervisor
        self._owner = owner
        self._begin_with = begin
        self._sessions = sessions
        self._link: WorkerLink | None = None
        self._identifier = 0
        self._ahead = bytearray(first_bytes)
        self._sent = bytearray()  # what the worker has, as long as another could go on with it
        self._replayed = False
        self._answered = False  # a flight went to the peer: only this worker can go on
        self._waiting = False  # for the worker's answer
        self._over = False
        self._peer_done = False
        channel.rebind(self._readable, lambda: None, self._broken)
        channel.start_reading()
        self._begin()

    def cancel(self) -> None:
        """End it without telling the owner: its time is over, or the service stops."""
        self._end()
        self._channel.close()

    # -- towards the worker ----------------------------------------------------------------

    def _begin(self) -> None:
        if self._over:
            return
        link = self._supervisor.link
        if link is None and self._supervisor.down:
            self._loop.call_soon(self._refuse)  # the owner may be in the middle of `__init__`
            return
        if link is None:
            self._supervisor.when_ready(self._begin)
            return
        self._link = link
        self._identifier = link.open(self)
        self._submit(*self._begin_with)

    def _refuse(self) -> None:
        """Send an alert, rather than let a client hang: no worker is there, or will be at once."""
        if self._over:
            return
        if self._begin_with[0] == FrameType.BEGIN:
            self._channel.send(_INTERNAL_ERROR)
        self._fail(self._supervisor.down or "the crypto worker died")

    def _submit(self, kind: FrameType, prefix: bytes = b"") -> None:
        assert self._link is not None
        data = b""
        if kind != FrameType.CONNECT:  # an upstream that speaks first must wait for the ClientHello
            data = bytes(self._ahead)
            self._ahead.clear()
        if not self._answered:
            self._sent += data
        self._waiting = True
        self._link.send(kind, self._identifier, prefix, data)
        if not self._peer_done:
            self._channel.start_reading()

    def frame_received(self, kind: int, payload: memoryview) -> None:
        self._waiting = False
        if kind == FrameType.HANDSHAKE:
            if len(payload):
                self._answered = True
                self._sent.clear()
                self._channel.send(payload)
            if self._ahead:
                self._submit(FrameType.HANDSHAKE)
            elif self._peer_done:
                self._fail(_CLOSED[self._begin_with[0]])
        elif kind == FrameType.ESTABLISHED:
            self._established(payload)
        else:
            size = int.from_bytes(payload[:2], "little")
            self._channel.send(payload[2 : 2 + size])
            self._fail(bytes(payload[2 + size :]).decode())

    def worker_lost(self) -> None:
        if self._over:
            return
        self._link = None
        self._waiting = False
        # Once only: what kills a worker must not go on to kill the next one, and the next.
        if self._answered or self._replayed or len(self._sent) + len(self._ahead) >= MAX_PAYLOAD:
            if not self._answered and self._begin_with[0] == FrameType.BEGIN:
                self._channel.send(_INTERNAL_ERROR)  # later its keys would have to be the worker's
            self._fail("crypto worker died in the middle of the handshake")
        else:
            self._replayed = True
            self._ahead[:0] = self._sent
            self._sent.clear()
            self._begin()

    def _established(self, payload: memoryview) -> None:
        flight, keys, info, leftover, session_id, presented = unpack_established(payload)
        if self._sessions is not None:
            self._sessions.learn(session_id, self._supervisor)
        self._over = True
        self._channel.stop_reading()
        if flight:
            self._channel.send(flight)
        session = _session(info)
        if presented:
            session = replace(session, certificates=unpack_certificates(presented))
        assert self._link is not None
        self._owner.handshake_done(
            session,
            self._link,
            self._identifier,
            keys,
            leftover + bytes(self._ahead),
        )

    # -- towards the peer ------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            received = self._channel.recv_into(_BUFFER)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._broken(error)
            return
        if not received:
            self._peer_done = True
            self._channel.stop_reading()
            if not self._waiting:
                self._fail(_CLOSED[self._begin_with[0]])
            return  # else what the worker has may be the end of the handshake, and a request
        self._ahead += _BUFFER[:received]
        if self._link is not None and not self._waiting:
            self._submit(FrameType.HANDSHAKE)
        elif len(self._ahead) > _MAX_AHEAD:
            self._channel.stop_reading()

    def _broken(self, error: OSError) -> None:
        if not self._over:
            self._fail(describe(error))

    # -- the end ---------------------------------------------------------------------------

    def _fail(self, reason: str) -> None:
        if self._over:
            return
        self._end()
        GracefulClose(self._loop, self._channel, peer_done=self._peer_done)
        self._owner.handshake_failed(reason)

    def _end(self) -> None:
        self._over = True
        if self._link is not None:
            self._link.end(self._identifier, resumable=False)
        else:
            self._supervisor.forget(self._begin)
