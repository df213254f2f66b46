"""The rest of a request whose response is complete: read and dropped, for the sake of the next one.

An app may answer before it has the whole request: 401, 413, or just because it does not need the
body. The client sends on, and its next request stands behind the body. So the body is read to its
end, within limits, and the connection goes on (RFC 9112 §9.3). Where it is known that it will not
go on, the response says so (§9.6).

The app's connection does not go on: whether the app would skip the rest of the body, or take it for
another request, is not for the proxy to find out.
"""

from __future__ import annotations

import logging
from typing import Protocol

from kssl.proxy.frontend.router import Route
from kssl.proxy.http.bodies import BodyReader
from kssl.proxy.http.forward import ClientInfo
from kssl.proxy.http.messages import HttpError
from kssl.proxy.journal.record import RequestRecord

log = logging.getLogger("kssl")

# What is read of a body that nobody wants, in bytes with its framing. As much as
# `kssl.fastpath.net.closing` drops behind an answer that says close; a client that has more to send
# is told. The time limit is EntityBodyTimeout, for all of it.
MAX_DRAIN = 16 * 1024 * 1024


class Drained(Protocol):
    """The client's connection, as a `Drain` sees it."""

    @property
    def client(self) -> ClientInfo: ...

    def tell(self, reason: str, line: bytes) -> None:
        """Tell the journal of something that belongs to no request."""

    def close(self) -> None:
        """End it in order."""


class Drain:
    """In place of the exchange, until the body is over. Its record is finished."""

    __slots__ = ("_connection", "_left", "_reader", "record", "request_done", "route")

    def __init__(
        self,
        connection: Drained,
        reader: BodyReader,
        route: Route,
        record: RequestRecord,
    ) -> None:
        """``reader``: of the body, wherever it is in it."""
        self._connection = connection
        self._reader = reader
        self.record = record
        self.route = route
        self._left = MAX_DRAIN
        self.request_done = False

    def request_body(self, data: memoryview) -> int:
        """More plaintext; returns the bytes that are body."""
        reader = self._reader
        try:
            _, used = reader.feed(data)
        except HttpError as error:
            self._give_up(error.reason, str(error))
            return len(data)
        self.request_done = reader.done
        self._left -= used
        if self._left < 0 and not reader.done:
            self._give_up("EntityTooLarge", f"more than {MAX_DRAIN} bytes behind its response")
        return used

    @property
    def done(self) -> bool:
        """The body is over, and what came behind it is the next request."""
        return self.request_done

    @property
    def held(self) -> int:
        """Bytes that wait for an app: none."""
        return 0

    def expired(self) -> None:
        """EntityBodyTimeout."""
        self._give_up("Timer_EntityBody", "still not over when EntityBodyTimeout had passed")

    def _give_up(self, reason: str, what: str) -> None:
        """The client has its answer, so the end is an orderly one."""
        connection = self._connection
        connection.tell(reason, self.record.line)
        log.info(
            "%s: the body of an answered request is dropped: %s", connection.client.address, what
        )
        connection.close()

    def client_writable(self) -> None:
        """There is nothing to write."""

    def failed(self, reason: str) -> None:
        """Do nothing. A client that leaves in the middle of a body that nobody wants is not worth a
        line."""

    def cancel(self) -> None:
        """The connection is over. There is nothing to let go."""
