"""The engine contract: plaintext on one side, the peer's socket on the other.

The contract is at the plaintext level because that is all that every engine has: kTLS never shows
a ciphertext, and the crypto worker answers later. An engine owns the connection's `Channel` from
the end of the handshake on.

    client ──records── Channel ── Engine ──plaintext── Sink (the front end's HTTP connection)

What an engine promises:

1. Plaintext reaches the sink in order, complete, and never after ``peer_closed`` or
   ``engine_failed``; each of those two comes at most once.
2. What is given to ``write`` leaves in order and complete, unless the connection fails first.
   The caller's buffer is free again when ``write`` returns.
3. ``congested`` asks the sink to stop writing; ``Sink.writable`` is called when it is over. An
   engine takes whatever it is given all the same, so the sink's one batch more is never lost,
   and memory stays bounded because the sink then waits.
4. While reading is paused, only what was read before may still arrive, `MAX_AFTER_PAUSE` at most.
5. FIN without close_notify is told apart: ``peer_closed(clean=False)``.
6. A protocol violation ends the connection with the alert that the RFC names, sent before FIN.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from kssl.fastpath.ipc.link import WorkerLink
from kssl.fastpath.net.channel import Channel
from kssl.fastpath.net.closing import Ending
from kssl.fastpath.tls.errors import Alert

# One batch of records from the peer, in bytes: eight full records. Larger batches save system
# calls but leave the second-level cache.
RECEIVE_SIZE = 128 * 1024

# Plaintext that may still arrive after `Engine.pause_reading`, in bytes. In user mode the worker
# has up to one batch, and one more that was read just below that limit.
MAX_AFTER_PAUSE = 2 * RECEIVE_SIZE

# The largest piece, in bytes of plaintext: a sink writes no more at once than a batch and a
# response head, and sealed it must fit a frame from the worker (`MAX_PAYLOAD`, 256 KiB).
MAX_PIECE = 240 * 1024


class Sink(Protocol):
    """The owner of an engine, who gets the plaintext."""

    def plaintext_received(self, data: memoryview) -> None:
        """Take plaintext; ``data`` is valid only during the call."""

    def peer_closed(self, clean: bool) -> None:
        """Hear that the peer sends nothing more: by close_notify (``clean``) or by FIN alone."""

    def peer_left(self) -> None:
        """Hear of FIN behind the close_notify of which `peer_closed` has told.

        It is not called without TLS, where FIN is all that a peer can say.
        """

    def engine_failed(self, reason: str) -> None:
        """Hear that the connection is lost; an alert was sent where the RFC asks for one."""

    def writable(self) -> None:
        """Write on: there is no congestion. May also be called when there was none."""

    def ended(self, ending: Ending) -> None:
        """Hear how it ended: the socket is closed. Called once, last, also after `Engine.close`
        and `abort`."""


@dataclass(frozen=True, slots=True)
class Session:
    """The outcome of a handshake, for logs and for the application. It holds no key material."""

    version: str  # "TLSv1.3"
    cipher: str  # the IANA name
    server_name: str  # SNI, or ""
    alpn: str
    group: str  # key exchange, or ""
    policy: str = ""  # see `kssl.config.model.Site.policy`; "": no certificate was asked for
    # DER of what the client has presented, now or when the session began; its own comes first.
    certificates: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Handover:
    """All that an engine needs: from a finished handshake, or, without TLS, from the listener.

    ``max_send`` (MaxBytesPerSend): at most so many bytes of plaintext, from 1 on, are sealed as one
    piece and handed to the socket as one piece; no larger ones than `MAX_PIECE` are made. What the
    kernel refuses is kept, and leaves as the kernel takes it.

    Without ``bulk``, every record is read, opened, sealed and sent alone: no call, and in user mode
    no frame, handles two of them. That is kernel mode in Windows Server 2003, which had no
    bulk encryption there.

    With ``reads_on``, a send that fails is not the end: reading goes on to it, also if it was
    paused. An upstream may have answered before it closed.

    Unless ``resumable``, the session is dropped however the connection ends.
    """

    loop: AbstractEventLoop
    channel: Channel
    link: WorkerLink | None  # of the worker that did the handshake; None: there is no TLS
    identifier: int  # the connection's number on that link
    # Packed `ConnectionKeys` in kernel mode, b"" in user mode.
    keys: bytes = field(repr=False)
    close_notify: bool  # EnableSslCloseNotify
    max_send: int = RECEIVE_SIZE
    bulk: bool = True
    reads_on: bool = False
    resumable: bool = True


class Engine(Protocol):
    """One established connection."""

    name: ClassVar[str]
    kernel_mode: ClassVar[bool]  # True: needs the keys; False: the worker keeps them

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why this engine does not work on this machine; None when it does."""

    def __init__(self, handover: Handover, sink: Sink) -> None: ...

    def start(self, leftover: bytes) -> None:
        """Begin to read; ``leftover`` came with the handshake and is opened first."""

    @property
    def backlog(self) -> int:
        """The bytes that were written and that the kernel's socket has not taken yet."""

    @property
    def congested(self) -> bool:
        """Whether the sink should wait for `Sink.writable` before it writes more."""

    @property
    def at_rest(self) -> bool:
        """Whether it could serve something new.

        That is: sending works, all that was written has left, and nothing has come that the sink
        has not got, not even a part of a record.
        """

    def outstanding(self) -> int:
        """Return the bytes on their way to the peer, the kernel's too; it changes as it reads."""

    def unheard(self) -> float:
        """Return for how many seconds nothing of what is on its way has been acknowledged.

        That there is no room for it counts as an answer. Return 0 when nothing is on its way.
        """

    def write(self, data: memoryview, length: int) -> None:
        """Send ``data[:length]``. ``data`` is writable and one byte longer than ``length``: that
        byte is lent to the record layer and restored."""

    def pause_reading(self) -> None:
        """Read no more; `MAX_AFTER_PAUSE` bytes may still arrive."""

    def resume_reading(self) -> None:
        """Read on, after `pause_reading`."""

    def close_write(self) -> None:
        """Say that nothing more will be written (close_notify; FIN without TLS), and read on."""

    def close(self) -> None:
        """Send what is left, close_notify and FIN; then wait for the peer's FIN, but not for
        ever (`kssl.fastpath.net.closing`). The sink hears nothing more but `Sink.ended`."""

    def refuse(self, alert: Alert) -> None:
        """Close with a fatal alert in place of close_notify, for a peer that should read why.

        Its session cannot be resumed.
        """

    def abort(self, alert: Alert | None = None) -> None:
        """End the connection so that the peer cannot take it for complete: send the fatal alert,
        if any, then RST. The sink hears nothing more but `Sink.ended`."""
