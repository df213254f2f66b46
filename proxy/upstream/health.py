"""Whether an upstream gets requests: the decision alone, without sockets, clock or randomness.

    well ──failed──► paused ──pause over──► on trial ──answered──► well
                       ▲                        │
                       └────────failed──────────┘  the pause grows

An upstream that failed is left out for a pause, which doubles with each failure in a row. When the
pause is over, one request at a time tries it, and all others pass by. Time is in seconds on any one
clock, which the caller reads.
"""

from __future__ import annotations

# Seconds of the first pause: an app that is restarted is not missed for long.
FIRST_PAUSE = 1.0

# Seconds of the longest pause: a dead upstream costs next to nothing, and one that is back is found
# within half a minute.
LONGEST_PAUSE = 30.0

# The part of a pause that chance may take away, so that several front ends do not try together.
JITTER = 0.25

# Seconds after which somebody else may try, although the last trial has no result: its request may
# be an upload that lasts.
TRIAL_LIMIT = 120.0


class Health:
    """The state of one upstream."""

    __slots__ = ("_silent", "_trial_ends", "_until", "failures", "trial")

    def __init__(self) -> None:
        self.failures = 0
        """Failures in a row; 0: it is well."""
        self.trial: object | None = None
        """Who tries it now."""
        self._until = 0.0  # the end of the pause
        self._trial_ends = 0.0
        self._silent = False  # it connects and says nothing, so that connecting proves nothing

    def paused(self, now: float) -> bool:
        """Return whether no new request may go there."""
        if not self.failures:
            return False
        return now < self._until or (self.trial is not None and now < self._trial_ends)

    def order(self, now: float) -> tuple[bool, float]:
        """Return a key that sorts: those that are well first, then those with the shortest pause
        left."""
        return self.failures > 0, self.pause_left(now)

    def pause_left(self, now: float) -> float:
        """Return the seconds until it may be tried; 0 when it may."""
        return max(0.0, self._until - now) if self.failures else 0.0

    def try_out(self, by: object, now: float) -> None:
        """Let ``by`` be the one that tries. It ends by `failed`, `connected`, `answered` or
        `give_back`."""
        self.trial = by
        self._trial_ends = now + TRIAL_LIMIT

    def give_back(self, by: object) -> None:
        """End the trial of ``by`` without a result, if it is the one that tries."""
        if self.trial is by:
            self.trial = None

    def failed(self, by: object, now: float, jitter: float, *, silent: bool = False) -> bool:
        """Begin a pause, for ``by`` could not connect, or got no answer (``silent``).

        ``jitter``: 0 to 1, by chance. Return whether it was well until now. What began before the
        pause and fails during it tells nothing new.
        """
        if self.failures and self.trial is not by and self.paused(now):
            return False
        pause = min(FIRST_PAUSE * 2.0 ** min(self.failures, 16), LONGEST_PAUSE)
        self._until = now + pause * (1 - JITTER * jitter)
        self._silent = silent
        self.trial = None
        self.failures += 1
        return self.failures == 1

    def connected(self) -> bool:
        """Note that a connection was opened. Return whether it is well again by that."""
        return not self._silent and self.answered()

    def answered(self) -> bool:
        """Note a response. Return whether it is well again by that."""
        was, self.failures = self.failures, 0
        self.trial = None
        self._silent = False
        return was > 0
