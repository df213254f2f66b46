"""Fetches for one purpose: each URL once, so many, and so long. Failures are told in sentences."""

from __future__ import annotations

from collections.abc import Callable

from kssl.fastpath.verifier.fetch.errors import FetchError, shown
from kssl.fastpath.verifier.fetch.fetcher import Fetched
from kssl.fastpath.verifier.fetch.limits import Kind

# URL, and the seconds that are left (above 0). Blocks; raises FetchError.
Get = Callable[[str, float], Fetched]


class Deadline:
    """The time for several fetches together, from now on."""

    def __init__(self, clock: Callable[[], float], seconds: float) -> None:
        """``clock``: seconds, never goes back."""
        self._clock = clock
        self._end = clock() + seconds
        self.seconds = seconds

    def left(self) -> float:
        """Seconds; 0 or below: it is over."""
        return self._end - self._clock()


class Asker:
    """Not thread-safe."""

    def __init__(self, get: Get, kind: Kind, most: int, deadline: Deadline) -> None:
        """``most``: URLs, whether anything comes or not."""
        self._get = get
        self._kind = kind
        self._most = most
        self._deadline = deadline
        self._asked: set[str] = set()
        # Keys, for each is told once and in order.
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """Why something was not fetched."""
        return tuple(self._notes)

    def note(self, text: str) -> None:
        self._notes[text] = None

    def ask(self, url: str) -> Fetched | None:
        """None: nothing came, `notes` says why; or it was asked before. Never raises."""
        if url in self._asked:
            return None
        if len(self._asked) >= self._most:
            self.note(f"{shown(url)}: not asked; at most {self._most} {self._kind.value} URLs are")
            return None
        left = self._deadline.left()
        if left <= 0:
            seconds = self._deadline.seconds
            self.note(f"{shown(url)}: not asked; the {seconds:g} s for all fetches are over")
            return None
        self._asked.add(url)
        try:
            return self._get(url, left)
        except FetchError as error:
            self.note(str(error))
        except Exception as bug:  # of a verdict on a stranger nothing may depend on this
            self.note(f"{shown(url)}: an error in kssl ({type(bug).__name__}); please report it")
        return None
