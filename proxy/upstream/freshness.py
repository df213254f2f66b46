"""When a host name is looked up again, and which answer counts: the decision alone, without
resolver, thread or clock.

    asked ──answer──► its addresses, for the TTL ──due──► asked again …
      │
      └────failure──► the last addresses go on for a while ──► none

Time is in seconds on any one clock, which the caller reads.
"""

from __future__ import annotations

# Seconds for which an answer counts at least, however short its TTL: also how often a name is asked
# for at most, after failures to connect and failures to look up.
SHORTEST = 5.0

# Seconds for which an answer counts at most, however long its TTL.
LONGEST = 300.0

# Seconds for which an answer counts that came without a TTL.
WITHOUT_TTL = 30.0

# Seconds for which the last addresses go on while no name server answers: a day, as RFC 8767 §5
# recommends. An outage of the name service need not be one of the apps.
STALE_UNANSWERED = 86400.0

# Seconds for which they go on although the name service says that there are none: it may do so for
# a moment, while a container is replaced.
STALE_UNKNOWN = 30.0


class Freshness:
    """What is known of one name."""

    __slots__ = ("_asked", "_due", "_failing_since", "addresses", "asking", "reason", "settled")

    def __init__(self) -> None:
        self.addresses: tuple[str, ...] = ()
        self.reason = "it has not been looked up yet"
        """Why the last look-up failed, in words; "" when it did not."""
        self.asking = False
        """Somebody looks it up now."""
        self.settled = False
        """There has been an answer or a failure."""
        self._due = 0.0
        self._asked = 0.0  # when the last look-up began
        self._failing_since: float | None = None

    def due(self, now: float) -> bool:
        """Return whether it should be looked up."""
        return not self.asking and now >= self._due

    def begin(self, now: float) -> None:
        """Note that a look-up begins."""
        self.asking = True
        self._asked = now

    def found(self, addresses: tuple[str, ...], ttl: float | None, now: float) -> bool:
        """Take an answer. Return whether the addresses are others than before."""
        self._end(now, min(max(WITHOUT_TTL if ttl is None else ttl, SHORTEST), LONGEST))
        self._failing_since = None
        self.reason = ""
        return self._set(addresses)

    def failed(self, reason: str, now: float, *, unknown: bool) -> bool:
        """Take a failure; ``unknown``: the name has no address, rather than no answer. Return
        whether the addresses, which were kept until now, are given up by that."""
        self._end(now, SHORTEST)
        self.reason = reason
        if self._failing_since is None:
            self._failing_since = now
        kept = STALE_UNKNOWN if unknown else STALE_UNANSWERED
        return now - self._failing_since >= kept and self._set(())

    def doubted(self) -> None:
        """Have it looked up soon: none of its addresses could be connected to."""
        self._due = min(self._due, self._asked + SHORTEST)

    def _end(self, now: float, seconds: float) -> None:
        self.asking = False
        self.settled = True
        self._due = now + seconds

    def _set(self, addresses: tuple[str, ...]) -> bool:
        changed = set(addresses) != set(self.addresses)
        self.addresses = addresses
        return changed
