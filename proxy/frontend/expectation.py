"""Expect: 100-continue (RFC 9110 §10.1.1): a client that waits before it sends its body.

The app's 100 is passed on. Many apps never say it, and the client need not wait for ever, so after
`CONTINUE_AFTER` the proxy says it in the app's place.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable

# Seconds that an app which has the head may take for its 100. Clients wait as long before they give
# up waiting (curl and Go: one second).
CONTINUE_AFTER = 1.0

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Expectation:
    """Of one request. ``met``: the client has been told 100."""

    __slots__ = ("_timer", "met")

    def __init__(self) -> None:
        self.met = False
        self._timer: TimerHandle | None = None

    def watch(self, loop: AbstractEventLoop, tell: Callable[[], None]) -> None:
        """Call ``tell`` after `CONTINUE_AFTER`, unless it is met or cancelled before."""
        if not self.met and self._timer is None:
            self._timer = loop.call_later(CONTINUE_AFTER, tell)

    def meet(self) -> bool:
        """Return True, once: then a 100 may be sent to the client."""
        self.cancel()
        first = not self.met
        self.met = True
        return first

    def cancel(self) -> None:
        """Nobody waits any more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
