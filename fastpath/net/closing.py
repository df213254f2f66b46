"""Closing a connection so that the peer gets everything that was sent to it.

FIN goes out when the backlog is sent. What the peer still sends is dropped until its own FIN
comes, because closing with unread data makes the kernel send RST, and RST may destroy the end of
our answer in the peer's buffers (RFC 9112 §9.6). Dropping begins before our FIN: some peers read
only when they have written everything. Each wait has a time limit.
"""

from __future__ import annotations

import enum
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from dataclasses import dataclass

from kssl.fastpath.net.channel import Channel

# How long to wait for the peer's FIN, in seconds; so many times again while the peer goes on
# sending, which is how one that reads only afterwards gets our answer over a slow line; and what it
# may send meanwhile, in bytes: as much again before our own FIN.
LINGER = 5.0
LINGER_AGAIN = 5
LINGER_BYTES = 16 * 1024 * 1024

# How long the peer may stand still while our last bytes wait for it to take them, in seconds; and
# how often it is looked at in that time.
DRAIN_STALL = 60.0
_LOOKS = 30

_DISCARD = memoryview(bytearray(65536))

# Who looks at it opens it, and records may be tiny: so much at a time, in bytes.
_LOOKED_AT = _DISCARD[:8192]


class End(enum.Enum):
    """How one direction of a connection ended."""

    CLOSE_NOTIFY = "close_notify"  # the only end that nobody on the way can forge
    ALERT = "alert"  # a fatal one
    FIN = "fin"  # alone
    RESET = "reset"
    NONE = "none"  # it had not ended when the socket was closed


@dataclass(frozen=True, slots=True)
class Ending:
    """The ends of both directions: what came from the peer, and what was sent to it."""

    received: End
    sent: End


def _nobody(ending: Ending) -> None:
    """Do nothing: the caller does not ask how it ended."""


class GracefulClose:
    """The orderly close of a channel, from the last write to the end of the socket.

    ``done`` is called once, last, with what TCP knows: FIN, RESET or NONE for each direction.
    """

    __slots__ = (
        "_channel",
        "_discarded",
        "_done",
        "_draining",
        "_late",
        "_loop",
        "_peer_done",
        "_received",
        "_sent",
        "_timer",
    )

    def __init__(
        self,
        loop: AbstractEventLoop,
        channel: Channel,
        done: Callable[[Ending], None] = _nobody,
        *,
        peer_done: bool = False,
        late: Callable[[memoryview], None] | None = None,
    ) -> None:
        """Take over ``channel`` and begin to close it.

        ``peer_done``: the peer has ended its side already, so there is no FIN to wait for.
        ``late`` may look at what the peer still sends, before it is dropped.
        """
        self._loop = loop
        self._channel = channel
        self._done = done
        self._peer_done = peer_done
        self._late = late
        self._received = End.FIN if peer_done else End.NONE
        self._sent = End.NONE
        self._discarded = 0
        self._draining = True  # our FIN still waits for the backlog
        self._timer: TimerHandle | None = None
        channel.stop_reading()
        if channel.closed or channel.broken:
            self._finish()
            return
        channel.flush()  # only then the backlog is all that FIN has to wait for
        channel.rebind(self._discard, self._drained, self._broken)
        if not channel.backlog:
            self._drained()
            return
        self._watch(channel.outstanding(), loop.time())
        if not peer_done:
            channel.start_reading()

    def _watch(self, outstanding: int, since: float) -> None:
        wait = DRAIN_STALL / _LOOKS
        self._timer = self._loop.call_later(wait, self._check_progress, outstanding, since)

    def _check_progress(self, before: int, since: float) -> None:
        """Abort if the peer has taken nothing for `DRAIN_STALL`; a slow reader is waited for."""
        outstanding, now = self._channel.outstanding(), self._loop.time()
        if outstanding != before:
            self._watch(outstanding, now)
        elif now - since < DRAIN_STALL:
            self._watch(outstanding, since)
        else:
            self._sent = End.RESET
            self._channel.abort()
            self._finish()

    def _drained(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._draining = False
        self._discarded = 0  # before FIN, the peer could not know that nobody listens
        self._sent = End.FIN
        self._channel.shutdown_write()
        if self._peer_done:
            self._finish()
        else:
            self._timer = self._loop.call_later(LINGER, self._lingered, 0, LINGER_AGAIN)
            self._channel.start_reading()

    def _lingered(self, before: int, again: int) -> None:
        """Finish, unless the peer has sent more than ``before`` bytes, which were dropped."""
        if again and self._discarded > before:
            self._timer = self._loop.call_later(LINGER, self._lingered, self._discarded, again - 1)
        else:
            self._finish()

    def _discard(self) -> None:
        try:
            received = self._channel.recv_into(_DISCARD if self._late is None else _LOOKED_AT)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self._received = End.RESET
            self._finish()
            return
        if not received:
            self._received = End.FIN
        if received and self._late is not None:
            self._late(_DISCARD[:received])
        self._discarded += received
        if received and self._discarded <= LINGER_BYTES:
            return
        if self._draining:  # the backlog still gets its time, but nothing more is read
            self._peer_done = not received
            self._channel.stop_reading()
        else:
            self._finish()

    def _broken(self, error: OSError) -> None:
        if self._received is End.NONE:
            self._received = End.RESET
        self._finish()

    def _finish(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._channel.close()
        self._done(Ending(self._received, self._sent))
