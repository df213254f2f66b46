"""An app that acts on complete requests alone, and notes all that it gets."""

from __future__ import annotations

import contextlib
import ssl
import threading
from dataclasses import dataclass, field

import h11

from tests.proxy.frontend.cuts.ends import receive
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import UpstreamSide, response


@dataclass
class Seen:
    """What the app got of one connection: complete requests (their targets), and behind them the
    beginning of another, with how that ended."""

    complete: list[bytes] = field(default_factory=list)
    rest: bytes = b""
    ended: str = ""


class Till:
    """An app that pays when a request is complete, and notes all that it gets."""

    def __init__(self) -> None:
        self.connections: list[Seen] = []
        self._lock = threading.Lock()

    def __call__(self, side: UpstreamSide) -> None:
        seen = Seen()
        with self._lock:
            self.connections.append(seen)
        while not seen.ended:
            data, seen.ended = receive(side)
            seen.rest += data
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                self._pay(side, seen)

    def _pay(self, side: UpstreamSide, seen: Seen) -> None:
        while seen.rest and (found := complete_request(seen.rest)) is not None:
            target, seen.rest = found
            seen.complete.append(target)
            side.send(response(b"paid"))

    def has(self, target: bytes) -> bool:
        """Whether the head of that request is here."""
        return any(target in seen.complete or target in seen.rest for seen in self.connections)

    def settle(self) -> None:
        """Until no connection is in the middle of a request."""
        wait_for(
            lambda: all(not seen.rest or seen.ended for seen in self.connections),
            "the app hears of the end of each request",
        )


def complete_request(data: bytes) -> tuple[bytes, bytes] | None:
    """The target of a request at the beginning, and what follows it; None: it is not complete.

    h11 decides, not the code under test. Raises for bytes that are no request, and for none.
    """
    parser = h11.Connection(h11.SERVER)
    parser.receive_data(data)
    target = b""
    while True:
        event = parser.next_event()
        if isinstance(event, h11.Request):
            target = event.target
        elif isinstance(event, h11.EndOfMessage):
            return target, parser.trailing_data[0]
        elif event is h11.NEED_DATA:
            return None
        else:
            assert isinstance(event, h11.Data), event
