"""One non-blocking stream socket on the event loop, by which engines and upstreams read and write.

The front end works on plain sockets and an epoll of its own (`poller`), not on asyncio transports,
for two reasons. Engines need the socket itself (kTLS reads with ``recvmsg``). And one buffer can
serve every connection, because what ``send`` takes is gone at once and only what it refuses is
copied.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import socket
import struct
import sys
import termios
from asyncio import AbstractEventLoop
from collections.abc import Callable

from kssl.fastpath.net.poller import BROKEN, ENDED, READABLE, URGENT, WRITABLE, Poller

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends RST

# struct tcp_info of linux/tcp.h: tcpi_unacked in segments, tcpi_last_ack_recv in milliseconds. A
# probe of a closed window is no segment that waits, and it is answered.
_TCP_INFO = struct.Struct("=24xI28xI")

_WOULD_BLOCK = (BlockingIOError, InterruptedError)

# Once for all, because Python would put them together for each event.
_TO_READ = READABLE | ENDED
_TO_SEND = WRITABLE | BROKEN
_BEHIND_DATA = ENDED | URGENT

# Data up to this size, in bytes, is sent at the end of the turn.
SMALL = 16 * 1024 + 64


class Channel:
    """The owner of a connected socket. It knows neither TLS nor HTTP.

    ``on_readable()`` is called while reading is on and the socket has data, an end or an error;
    the owner then calls :meth:`recv_into`. ``on_drained()`` is called when :attr:`backlog` falls
    to zero. ``on_broken(error)`` is called, once and never from within :meth:`send`, when sending
    has failed. `ready` says that there may be something to read, as far as the poller has
    reported it.
    """

    __slots__ = (
        "_always_writing",
        "_ended",
        "_error",
        "_fd",
        "_later",
        "_loop",
        "_more",
        "_on_broken",
        "_on_drained",
        "_on_readable",
        "_pending",
        "_poller",
        "_queued",
        "_reading",
        "_recv_into",
        "_send",
        "_sock",
        "_unread",
        "broken",
        "closed",
        "ready",
        "waits_since",
    )

    def __init__(
        self,
        loop: AbstractEventLoop,
        sock: socket.socket,
        on_readable: Callable[[], None],
        on_drained: Callable[[], None],
        on_broken: Callable[[OSError], None],
        *,
        local: bool = False,
    ) -> None:
        """Take over ``sock``, which is connected; ``local`` says that it is a unix socket."""
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._send = sock.send
        self._recv_into = sock.recv_into
        self._poller = Poller.of(loop)
        self.ready = False  # there may be something to read that no edge will tell again
        # FIN, an error or something urgent is behind the data: a short read is not the last.
        self._ended = False
        self._error = 0  # errno that a send met, which the kernel tells only once
        # TCP tells of room only to a sender that ran out of it; a unix socket, at each read of the
        # other side.
        self._always_writing = not local
        self._queued: bytearray | None = None  # sent at the end of the turn
        self._pending: bytearray | None = None  # sent when the kernel takes more
        self.waits_since = 0  # the poller's turn in which the kernel took something last
        self._unread = b""
        self._more = False  # `ready`, but for what is in `_unread`
        # `read_on` will be called: until then an edge gives it nothing to do, or its share of the
        # turns would be two.
        self._later = False
        self._reading = False
        self.broken = False
        self.closed = False
        self.rebind(on_readable, on_drained, on_broken)
        self._poller.add(self._fd, self, writing=self._always_writing)

    def rebind(
        self,
        on_readable: Callable[[], None],
        on_drained: Callable[[], None],
        on_broken: Callable[[OSError], None],
    ) -> None:
        """Hand the channel to another owner, such as from the handshake to the engine."""
        self._on_readable = on_readable
        self._on_drained = on_drained
        self._on_broken = on_broken

    @property
    def sock(self) -> socket.socket:
        return self._sock

    @property
    def poller(self) -> Poller:
        return self._poller

    @property
    def backlog(self) -> int:
        """The number of bytes that the kernel has refused and that wait until it takes more.

        Data that waits for the end of the turn is not counted, though it has not been sent either.
        It says nothing about the peer, is bounded (`SMALL`) and gone within the turn. Counted, it
        would make each small reply look like congestion, with no `on_drained` to end it.
        """
        return len(self._pending) if self._pending is not None else 0

    @property
    def held(self) -> int:
        """The bytes that are kept here: the backlog, and what the owner gave back (`unread`)."""
        return self.backlog + len(self._unread)

    def outstanding(self) -> int:
        """Return how many bytes the peer has not acknowledged: here and in the kernel (SIOCOUTQ).

        This is the only measure of a slow reader's progress, because the kernel takes megabytes
        ahead (tcp(7)).
        """
        if self.closed:
            return 0  # its descriptor's number may be somebody else's by now
        ours = self.backlog + (len(self._queued) if self._queued is not None else 0)
        try:
            answer = fcntl.ioctl(self._fd, termios.TIOCOUTQ, b"\0\0\0\0")
        except OSError:
            return ours
        return ours + int.from_bytes(answer, sys.byteorder)

    def unheard(self) -> float:
        """Return the seconds since the peer's machine acknowledged anything (tcp(7) TCP_INFO).

        Return 0 if it has nothing to acknowledge.
        """
        if self.closed:
            return 0.0
        try:
            info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            unacknowledged, last = _TCP_INFO.unpack(info)
        except (OSError, struct.error):
            return 0.0
        return last / 1000 if unacknowledged else 0.0

    # -- readiness, from the poller --------------------------------------------------------

    def happened(self, events: int) -> None:
        """Handle the events: see `kssl.fastpath.net.poller.Polled`."""
        if events & _BEHIND_DATA:
            self._ended = True
        if self._pending is not None and events & _TO_SEND:
            self._on_writable()
        if events & _TO_READ:
            self.ready = self._more = True
            if self._reading and not self._later:
                self._on_readable()
                if self.ready and self._reading:
                    self._read_more()

    def _read_more(self) -> None:
        if self._ended:
            self._on_readable()  # most often the end itself
        if self.ready and self._reading:
            self._ask_again()

    def read_on(self) -> None:
        """Take another turn: see `kssl.fastpath.net.poller.Again`."""
        self._later = False
        if self.ready and self._reading:
            self._on_readable()
            if self.ready and self._reading:
                self._ask_again()

    def _ask_again(self) -> None:
        self._later = True
        self._poller.again(self)

    def crashed(self) -> None:
        """Abort: see `kssl.fastpath.net.poller.Again`."""
        if not self.closed:
            tell = self._on_broken
            self.abort()
            self._loop.call_soon(tell, OSError(errno.ECONNABORTED, "internal error"))

    # -- reading ---------------------------------------------------------------------------

    def start_reading(self) -> None:
        """Have ``on_readable`` called from now on; if something is there, in a later turn."""
        if not self._reading and not self.closed:
            self._reading = True
            if self.ready:
                self._ask_again()

    def start_with(self, data: bytes) -> None:
        """Start reading with ``data``, if any, at once: a former owner has read it."""
        if not data:
            self.start_reading()
        elif not self.closed:
            self.unread(data)
            self._reading = True
            self.read_on()

    def stop_reading(self) -> None:
        """Leave what comes in the kernel, until `start_reading`."""
        self._reading = False

    def silent(self) -> bool:
        """Return whether the kernel has neither bytes nor an end nor an error. A system call."""
        look = select.poll()
        look.register(self._fd, select.POLLIN | select.POLLRDHUP)
        return not (self.closed or self._unread or look.poll(0))

    def read_again(self) -> None:
        """Call ``on_readable`` once more, in a later turn, whatever the socket has.

        The owner keeps something that was more than its quantum (`kssl.fastpath.net.quantum`).
        """
        self.ready = True
        if self._reading:
            self._ask_again()

    def unread(self, data: bytes) -> None:
        """Take back the end of what was read. It is read again, before what the socket has."""
        if data:
            self._unread = data
            self._more = self.ready
            self.read_again()

    def recv_into(self, buffer: memoryview | bytearray) -> int:
        """Read into ``buffer`` and return the number of bytes; 0 is FIN.

        Raise OSError as ``socket.recv_into`` does, BlockingIOError among others. A read that does
        not fill the buffer has emptied the socket, and the next byte makes a new edge; but an end
        or an error behind it has been reported already. An error that a send has met is raised
        here too, behind the data: the kernel would go on with 0, as if that were FIN.
        """
        if self._unread:
            return self._take_back(buffer)
        try:
            received = self._recv_into(buffer)
        except _WOULD_BLOCK:
            self.ready = False
            raise
        if received < len(buffer):
            if not self._ended:
                self.ready = False
            elif not received and self._error:
                raise OSError(self._error, os.strerror(self._error))
        return received

    def _take_back(self, buffer: memoryview | bytearray) -> int:
        data = self._unread
        size = min(len(data), len(buffer))
        buffer[:size] = data[:size]
        self._unread = data[size:]
        self.ready = self._more or bool(self._unread)
        return size

    # -- writing ---------------------------------------------------------------------------

    def send(self, data: memoryview | bytes | bytearray) -> None:
        """Send ``data``, in order; what the kernel does not take is copied and sent later.

        Small data waits for the end of this turn of the event loop. There is no limit here: the
        owner watches :attr:`backlog` and pauses the source.
        """
        queued = self._queued
        if queued is not None:
            queued += data
            if len(queued) > SMALL:
                self.flush()
        elif self._pending is not None:
            self._wait_longer(data)
        elif self.broken or self.closed:
            return
        elif len(data) <= SMALL:
            self._queued = bytearray(data)
            self._poller.at_end(self.flush)
        else:
            self._send_now(data)

    def send_at_once(self, data: memoryview | bytes | bytearray) -> None:
        """Send as :meth:`send` does, but do not wait: the caller has collected a turn's data."""
        if self._queued is not None:
            self.flush()
        if self._pending is not None:
            self._wait_longer(data)
        elif not self.broken and not self.closed:
            self._send_now(data)

    def flush(self) -> None:
        """Give what waits for the end of the turn to the kernel."""
        queued = self._queued
        if queued is not None:
            self._queued = None
            if not self.broken and not self.closed:
                self._send_now(queued)

    def drop_queued(self) -> None:
        """Drop what waits for the end of the turn."""
        self._queued = None

    def _send_now(self, data: memoryview | bytes | bytearray) -> None:
        try:
            sent = self._send(data)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self._break(error)
            return
        if sent < len(data):
            self._wait_with(bytearray(memoryview(data)[sent:]))

    def send_parts(self, *parts: memoryview | bytes | bytearray) -> None:
        """Send all ``parts`` at once, in order, without copying what the kernel takes now."""
        if self._queued is not None:
            self.flush()
        if self._pending is not None:
            for part in parts:
                self._wait_longer(part)
            return
        if self.broken or self.closed:
            return
        try:
            sent = self._sock.sendmsg(parts)
        except _WOULD_BLOCK:
            sent = 0
        except OSError as error:
            self._break(error)
            return
        if sent < sum(map(len, parts)):
            rest = bytearray()
            for part in parts:
                rest += memoryview(part)[sent:]
                sent = max(0, sent - len(part))
            self._wait_with(rest)

    def _wait_with(self, rest: bytearray) -> None:
        self._pending = rest
        self.waits_since = self._poller.turn
        self._poller.wait_with(len(rest))
        if not self._always_writing:
            self._poller.watch_writing(self._fd, True)

    def _wait_longer(self, data: memoryview | bytes | bytearray) -> None:
        assert self._pending is not None
        self._pending += data
        self._poller.wait_with(len(data))

    def _on_writable(self) -> None:
        assert self._pending is not None
        try:
            sent = self._send(self._pending)
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self._break(error)
            return
        if sent < len(self._pending):
            del self._pending[:sent]
            self.waits_since = self._poller.turn
            self._poller.wait_with(-sent)
            return
        self._drop_pending()
        self._on_drained()

    def _break(self, error: OSError) -> None:
        self.broken = True
        self._ended = self.ready = True
        if error.errno != errno.EPIPE:  # that is RST behind FIN: reading ends by itself, and well
            self._error = error.errno or errno.EIO
        self._drop_pending()
        self._loop.call_soon(self._tell_broken, error)

    def _tell_broken(self, error: OSError) -> None:
        if not self.closed:
            self._on_broken(error)

    def _drop_pending(self) -> None:
        if self._pending is not None:
            self._poller.wait_with(-len(self._pending))
            self._pending = None
            if not self._always_writing:
                self._poller.watch_writing(self._fd, False)

    # -- ending ----------------------------------------------------------------------------

    def shutdown_write(self) -> None:
        """Send FIN. Reading goes on."""
        self.flush()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close at once; what is still in the backlog is dropped. Idempotent."""
        if self.closed:
            return
        self.flush()
        self.closed = True
        self.stop_reading()
        if self._pending is not None:
            self._poller.wait_with(-len(self._pending))
            self._pending = None
        self._unread = b""
        self._poller.discard(self._fd)
        self._sock.close()
        # Its owner holds the channel, and by these the channel its owner: without the collector's
        # help neither would go.
        self._on_readable = self._on_drained = _nothing
        self._on_broken = _nothing_broken

    def abort(self) -> None:
        """Close with RST, so that the peer cannot take the end for a clean one."""
        if not self.closed:
            self.flush()
            self._end_with_reset()
            self.close()

    def give_up(self) -> None:
        """Drop what waits, and tell the owner that sending failed. Its close sends RST."""
        if not self.closed:
            self._end_with_reset()
            self._break(OSError(errno.ECONNABORTED, "given up"))

    def _end_with_reset(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def _nothing() -> None:
    """Do nothing: the callbacks of a closed channel."""


def _nothing_broken(error: OSError) -> None:
    """Do nothing: ``on_broken`` of a closed channel."""


def describe(error: OSError) -> str:
    """Return a short phrase for a log line, such as ``connection reset by peer``."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


RESETS = frozenset(os.strerror(code).lower() for code in (errno.ECONNRESET, errno.EPIPE))
"""What `describe` says of a peer that has gone away, as peers do all the time."""
