"""How connections with TLS ended, counted: for `kssl status`.

A sink of the journal, for what belongs to a request or is an event. How each direction of a
connection ended is told directly, by `client_ended` and `upstream_ended`, as upstreams have no
journal.
"""

from __future__ import annotations

from typing import Any

from kssl.fastpath.net.closing import End, Ending
from kssl.proxy.journal.record import PROBE, ConnectionEvent, RequestRecord

# Words of the HTTPERR log that are counted here.
TRUNCATED = "Upstream_Truncated"
UNCLEAN = "Unclean_Close"


class _Directions:
    """Of connections to one kind of peer: how many ended how, each way."""

    __slots__ = ("received", "sent")

    def __init__(self) -> None:
        self.received = dict.fromkeys(End, 0)
        self.sent = dict.fromkeys(End, 0)

    def add(self, ending: Ending) -> None:
        self.received[ending.received] += 1
        self.sent[ending.sent] += 1

    def to_json(self) -> dict[str, dict[str, int]]:
        return {
            "received": {end.value: number for end, number in self.received.items()},
            "sent": {end.value: number for end, number in self.sent.items()},
        }


class Closes:
    """Of one front end, since it started; a reload changes nothing.

    unclean: clients' connections that did not end with the client's close_notify while
    EnableSslCloseNotify asked for it.
    probes: clients' connections, also those without TLS, that ended before their first request.
    truncated: upstreams' answers that were refused because they may have been cut short.
    """

    __slots__ = ("_client", "_upstream", "probes", "truncated", "unclean")

    every = False

    def __init__(self) -> None:
        self._client = _Directions()
        self._upstream = _Directions()
        self.unclean = 0
        self.probes = 0
        self.truncated = 0

    def client_ended(self, ending: Ending) -> None:
        """Once for each connection of a client."""
        self._client.add(ending)

    def upstream_ended(self, ending: Ending) -> None:
        """Once for each connection to an upstream."""
        self._upstream.add(ending)

    def finished(self, record: RequestRecord) -> None:
        """See `kssl.proxy.journal.journal.Sink`."""
        self.truncated += record.reason == TRUNCATED

    def happened(self, event: ConnectionEvent) -> None:
        """Likewise."""
        self.unclean += event.reason == UNCLEAN
        self.probes += event.reason == PROBE

    def to_json(self) -> dict[str, Any]:
        """The values of `End` are the keys of the innermost objects::

        {"client": {"received": {"close_notify": 0, …}, "sent": {…}}, "upstream": {…},
         "unclean_close": 0, "upstream_truncated": 0, "without_request": 0}
        """
        return {
            "client": self._client.to_json(),
            "upstream": self._upstream.to_json(),
            "unclean_close": self.unclean,
            "upstream_truncated": self.truncated,
            "without_request": self.probes,
        }
