"""One connection to the upstream app."""

from __future__ import annotations

import socket
from typing import Protocol

from kssl.fastpath.net.channel import SMALL, Channel, describe
from kssl.proxy.http import grammar
from kssl.proxy.http.errors import too_long_response
from kssl.proxy.http.memo import ResponseMemo
from kssl.proxy.http.messages import UpstreamError
from kssl.proxy.upstream.dial import Place

# Reads from the upstream go into one buffer for the whole process, behind room in which the
# response head for the client can be written just in front of the body that came with it.
HEADROOM = 4096

# One batch of body, in bytes: eight full TLS records.
RECEIVE_SIZE = 128 * 1024

# The last byte is spare: sealing needs one behind the data.
BUFFER = bytearray(HEADROOM + RECEIVE_SIZE + 1)
VIEW = memoryview(BUFFER)
_RECEIVE = VIEW[HEADROOM:-1]

# Of a connection that was not opened by an address.
_NOWHERE = Place((socket.AF_UNSPEC, None))


class UpstreamUser(Protocol):
    """The exchange or tunnel that uses the connection now."""

    def upstream_received(self, end: int) -> None:
        """``BUFFER[HEADROOM:end]`` is new; valid only during the call."""

    def upstream_closed(self, error: str | None, *, truncated: bool) -> None:
        """Its end (None) or a failure. The connection is closed. ``truncated``: with TLS, FIN came
        without close_notify, so somebody on the way may have cut it."""

    def upstream_drained(self) -> None:
        """All that was sent is on its way."""


class Stream(Protocol):
    """What a user needs of `Channel`, and `kssl.proxy.upstream.secure.SecureChannel` has."""

    @property
    def backlog(self) -> int: ...
    @property
    def held(self) -> int: ...
    @property
    def closed(self) -> bool: ...
    def send(self, data: memoryview | bytes | bytearray) -> None: ...
    def unread(self, data: bytes) -> None: ...
    def start_reading(self) -> None: ...
    def stop_reading(self) -> None: ...
    def shutdown_write(self) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class UpstreamConnection:
    """A way to the upstream, and who uses it. Reading is on unless paused."""

    __slots__ = (
        "_forget",
        "_plain",
        "_poller",
        "_taken",
        "channel",
        "idle_until",
        "memo",
        "partial",
        "paused",
        "place",
        "reused",
        "tainted",
        "untouched",
        "user",
    )

    channel: Stream

    def __init__(self, channel: Channel, forget: IdleForgetter) -> None:
        """Without TLS."""
        self._begin(channel, forget)
        self._plain = channel
        self._poller = channel.poller
        self._taken = -1  # the turn in which its last user took it, if `take` leaves that to see
        channel.rebind(self._readable, self._drained, self._broken)
        channel.start_reading()

    def _begin(self, channel: Stream, forget: IdleForgetter) -> None:
        self.channel = channel
        self.user: UpstreamUser | None = None
        self.reused = False  # it has served an exchange before
        self.idle_until = 0.0  # while it is in the pool
        # The app has announced a body where there is none: nobody can tell an answer from it.
        self.tainted = False
        self.paused = False  # by interim answers that the client does not read
        self.untouched = False  # it ended before anything of its last user's request had left
        self.place = _NOWHERE  # where it goes
        self.memo = ResponseMemo()
        self.partial: bytearray | None = None  # the beginning of a response head
        self._forget = forget

    @property
    def reusable(self) -> bool:
        """Whether another exchange can have it. With a backlog, it answered before it had the whole
        request, so the next one would wait."""
        channel = self._plain
        return not (self.tainted or channel.closed or channel.broken or channel.backlog)

    def take(self, size: int) -> bool:
        """Whether an idle connection is still good for an exchange that sends ``size`` bytes first.

        Whatever is there before the request is nobody's answer. What was there when the poller's
        turn began will be told within the turn, and as the request leaves at the turn's end, it
        is not too late to look then: see `_readable`. That saves the system call.
        """
        poller = self._poller
        if poller.all_told and size <= SMALL and not self._plain.ready:
            self._taken = poller.turn
            return True
        return self._plain.silent()

    def next_head(self, start: int, end: int, limit: int) -> tuple[bytes | None, int]:
        """A complete head at the beginning of ``BUFFER[start:end]``, and where what follows it
        begins; or None, and what there is of it is kept. ``limit``: bytes of a head.

        Raises UpstreamError when it is longer.
        """
        scan = 0
        if self.partial is None:
            found = BUFFER.find(b"\r\n\r\n", start, end)
            if found >= 0:
                return bytes(VIEW[start : found + 4]), found + 4
            if start < end:
                self.partial = bytearray(VIEW[start:end])
        else:
            scan = max(0, len(self.partial) - 3)
            self.partial += VIEW[start:end]
            found = self.partial.find(b"\r\n\r\n", scan)
            if found >= 0:
                raw = bytes(self.partial[: found + 4])
                start = end - (len(self.partial) - len(raw))
                self.partial = None
                return raw, start
        if self.partial is not None:
            if grammar.broken_line_end(self.partial, scan) is not None:
                # Otherwise it would wait for an end that the upstream has already sent.
                raise UpstreamError("its response head has a bare CR, a bare LF or a NUL.")
            if len(self.partial) > limit:
                raise UpstreamError(too_long_response(limit))
        return None, end

    def keep(self, start: int, end: int) -> None:
        """``BUFFER[start:end]`` is more than the user's quantum (`kssl.fastpath.net.quantum`): it
        comes again, in another turn. Called within `upstream_received`."""
        self.channel.unread(bytes(VIEW[start:end]))

    def close(self) -> None:
        self.user = None
        self.channel.close()

    def let_go(self, *, complete: bool) -> None:
        """Its user is over. ``complete``: all that the client had to say has been sent here. What
        is still in the backlog would be lost behind a FIN, so that is a cut too."""
        if complete and not self.channel.backlog:
            self.close()
        else:
            self.abort()

    def abort(self) -> None:
        """So that the upstream cannot take what it has for a whole request."""
        self.user = None
        self.channel.abort()

    def _readable(self) -> None:
        try:
            received = self._plain.recv_into(_RECEIVE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            if self._taken == self._poller.turn:
                self._spoilt()
            else:
                self._ended(describe(error))
            return
        if self._taken == self._poller.turn:
            self._spoilt()
        elif received and self.user is not None:
            self.user.upstream_received(HEADROOM + received)
        else:
            self._ended(None)  # the end, or what nobody has asked for

    def _spoilt(self) -> None:
        """Something had come before it was taken: bytes that answer no request, or the end."""
        self._plain.drop_queued()
        self.untouched = True
        self._ended(None)

    def _received(self, end: int) -> None:
        if self.user is not None:
            self.user.upstream_received(end)
        else:
            self._ended(None)  # nobody has asked for this: not to be trusted again

    def _drained(self) -> None:
        if self.user is not None:
            self.user.upstream_drained()

    def _broken(self, error: OSError) -> None:
        """Sending failed. The upstream may have answered before it closed, so reading goes on;
        it ends by itself."""
        if self.channel.closed:
            self._ended(describe(error))
        else:
            self.channel.start_reading()

    def _ended(self, error: str | None, *, truncated: bool = False) -> None:
        user, self.user = self.user, None
        if truncated and user is not None:
            # The FIN may be forged, and the upstream still there: a close_notify would tell it
            # that the client, of a tunnel for one, has said all that it had to say.
            self.channel.abort()
        else:
            self.channel.close()
        if user is not None:
            user.upstream_closed(error, truncated=truncated)
        else:
            self._forget(self)


class IdleForgetter(Protocol):
    def __call__(self, connection: UpstreamConnection, /) -> None: ...
