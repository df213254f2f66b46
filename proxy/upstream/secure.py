"""Connections to https:// upstreams: the worker's handshake, then the engine that clients have too.

    Connecting (TCP) → SecureOpening ⇄ worker → SecureConnection: Engine ⇄ upstream

The record layer is ours here as well, so FIN is told apart from close_notify: an answer whose end
is the end of the connection cannot be cut on the way without being noticed.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from dataclasses import dataclass

from kssl.config.target import UpstreamTls
from kssl.fastpath.engines.contract import Engine, Handover, Session, Sink
from kssl.fastpath.engines.handshake import Handshake
from kssl.fastpath.ipc.frames import FrameType, pack_connect
from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.ipc.supervisor import Supervisor
from kssl.fastpath.net.channel import Channel
from kssl.fastpath.net.closing import Ending
from kssl.fastpath.net.poller import Poller
from kssl.fastpath.tls.errors import Alert
from kssl.proxy.upstream.connection import (
    HEADROOM,
    RECEIVE_SIZE,
    VIEW,
    IdleForgetter,
    UpstreamConnection,
)


@dataclass(frozen=True, slots=True)
class TlsClient:
    """What all connections to https:// upstreams of one front end share.

    ``max_send`` and ``bulk``: see `Handover`. ``ended`` is told how each connection ended.
    """

    loop: AbstractEventLoop
    supervisor: Callable[[], Supervisor]  # the next one whose turn it is
    engine: type[Engine]
    max_send: int
    bulk: bool
    ended: Callable[[Ending], None]


class SecureOpening:
    """The handshake on a connected ``channel``. One of ``opened`` and ``failed`` is called, once;
    neither after `cancel`."""

    def __init__(
        self,
        client: TlsClient,
        channel: Channel,
        tls: UpstreamTls,
        opened: Callable[[SecureConnection], None],
        failed: Callable[[str], None],
        forget: IdleForgetter,
    ) -> None:
        self._client = client
        self._channel = channel
        self._opened = opened
        self._failed = failed
        self._forget = forget
        # None when it is over: it holds this object, so neither would go without the collector.
        self._handshake: Handshake | None = Handshake(
            client.loop,
            channel,
            client.supervisor(),
            self,
            begin=(FrameType.CONNECT, pack_connect(client.engine.kernel_mode, tls.to_json())),
            first_bytes=b"",
        )

    def cancel(self) -> None:
        handshake, self._handshake = self._handshake, None
        if handshake is not None:
            handshake.cancel()

    def handshake_done(
        self, session: Session, link: WorkerLink, identifier: int, keys: bytes, leftover: bytes
    ) -> None:
        self._handshake = None
        client = self._client
        handover = Handover(
            loop=client.loop,
            channel=self._channel,
            link=link,
            identifier=identifier,
            keys=keys,
            close_notify=True,
            max_send=client.max_send,
            bulk=client.bulk,
            reads_on=True,
        )
        connection = SecureConnection(
            self._channel,
            lambda sink: client.engine(handover, sink),
            self._forget,
            client.ended,
            self._channel.poller,
        )
        self._opened(connection)
        connection.start(leftover)

    def handshake_failed(self, reason: str) -> None:
        self._handshake = None
        self._failed(reason)


class SecureChannel:
    """An engine with the methods of `Channel` that users of an upstream need."""

    __slots__ = ("_deliver", "_engine", "_poller", "_reading", "closed", "kept")

    def __init__(
        self, engine: Engine, poller: Poller, deliver: Callable[[memoryview], None]
    ) -> None:
        """``deliver`` takes what was read, and what comes again after `unread`."""
        self._engine = engine
        self._poller = poller
        self._deliver = deliver
        self._reading = True
        self.closed = False
        self.kept = bytearray()  # plaintext that was more than the user's quantum

    @property
    def backlog(self) -> int:
        """Not 0 while it is congested; `UpstreamUser.upstream_drained` tells when that is over."""
        return self._engine.backlog if self._engine.congested else 0

    @property
    def held(self) -> int:
        """As `Channel.held`."""
        return self._engine.backlog + len(self.kept)

    def send(self, data: memoryview | bytes | bytearray) -> None:
        length = len(data)
        if length:
            lent = bytearray(length + 1)  # the engine wants it writable, and a byte to spare
            lent[:length] = data
            self._engine.write(memoryview(lent), length)

    def unread(self, data: bytes) -> None:
        """As `Channel.unread`."""
        self.kept[:0] = data
        self._engine.pause_reading()
        if self._reading:
            self._poller.again(self)

    def start_reading(self) -> None:
        self._reading = True
        if self.kept:
            self._poller.again(self)
        else:
            self._engine.resume_reading()

    def stop_reading(self) -> None:
        self._reading = False
        self._engine.pause_reading()

    def read_on(self) -> None:
        """See `kssl.fastpath.net.poller.Again`."""
        if self._reading and not self.closed:
            kept, self.kept = self.kept, bytearray()
            self._deliver(memoryview(kept))
            if self._reading and not (self.kept or self.closed):
                self._engine.resume_reading()

    def crashed(self) -> None:
        """See `kssl.fastpath.net.poller.Again`."""
        self.abort()

    def shutdown_write(self) -> None:
        self._engine.close_write()

    def close(self) -> None:
        """With close_notify, so that the upstream does not miss it."""
        self._forget()
        self._engine.close()

    def abort(self) -> None:
        """With an alert, because some take a reset for an end (Python's `ssl` by default)."""
        self._forget()
        self._engine.abort(Alert.INTERNAL_ERROR)

    def _forget(self) -> None:
        self.closed = True
        self._deliver = _nobody  # it holds this object: neither would go without the collector


def _nobody(data: memoryview) -> None:
    """Who is told of what comes behind the end."""


class SecureConnection(UpstreamConnection):
    """An `UpstreamConnection` that is its engine's sink."""

    __slots__ = ("_end", "_engine", "_records", "_secure", "_told")

    def __init__(
        self,
        records: Channel,
        engine: Callable[[Sink], Engine],
        forget: IdleForgetter,
        ended: Callable[[Ending], None],
        poller: Poller,
    ) -> None:
        """``records``: what the engine reads from and sends to."""
        self._told = ended
        self._records = records
        self._end: tuple[str | None, bool] | None = None  # told when what came before it is
        self._engine = engine(self)
        self._secure = SecureChannel(self._engine, poller, self._deliver)
        self._begin(self._secure, forget)

    @property
    def reusable(self) -> bool:
        """In user mode the worker may still have records behind the answer. Whatever is in them, it
        would be told to the next user."""
        return self._engine.at_rest and not (self.tainted or self._secure.kept)

    def take(self, size: int) -> bool:
        """What is there may be no more than a session ticket. But to open it takes time, in user
        mode until after the request has left."""
        return self.reusable and self._records.silent()

    def start(self, leftover: bytes) -> None:
        """Begins to read, once there is a user: the upstream may speak first, to refuse."""
        if not self.channel.closed:
            self._engine.start(leftover)

    # -- the engine's sink -----------------------------------------------------------------

    def plaintext_received(self, data: memoryview) -> None:
        if self._secure.kept:
            self._secure.kept += data
        else:
            self._deliver(data)

    def _deliver(self, data: memoryview) -> None:
        channel = self._secure
        while len(data) and not channel.closed:
            piece, data = data[:RECEIVE_SIZE], data[RECEIVE_SIZE:]
            end = HEADROOM + len(piece)
            VIEW[HEADROOM:end] = piece
            self._received(end)
            if channel.kept:
                channel.kept += data
                return
        if self._end is not None and not channel.closed:
            error, truncated = self._end
            self._ended(error, truncated=truncated)

    def peer_closed(self, clean: bool) -> None:
        self._end_comes(None, truncated=not clean)

    def peer_left(self) -> None:
        """Nothing: the connection has ended with `peer_closed`."""

    def engine_failed(self, reason: str) -> None:
        self._end_comes(reason, truncated=False)

    def _end_comes(self, error: str | None, *, truncated: bool) -> None:
        if self._secure.kept:
            self._end = error, truncated
        else:
            self._ended(error, truncated=truncated)

    def writable(self) -> None:
        self._drained()

    def ended(self, ending: Ending) -> None:
        self._told(ending)
