"""What a pool remembers of its fetches: bodies by kind, and failures.

Each has a cache of its own, so that certificates of strangers cannot push out CRLs, nor failures
anything else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from kssl.fastpath.verifier.fetch.cache import Cache
from kssl.fastpath.verifier.fetch.fetcher import Fetched
from kssl.fastpath.verifier.fetch.limits import Kind

# Bytes that an entry costs beside body and URL, about.
_OVERHEAD = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """For how many entries and bytes, and how long a failure counts."""

    entries: int = 256  # of each kind
    certificate_bytes: int = 4 << 20
    crl_bytes: int = 64 << 20
    failures: int = 1024
    failed_seconds: float = 60.0


class Memory:
    """By kind and URL in its one form (`Target`). Not thread-safe: its owner locks."""

    def __init__(self, room: Room, now: Callable[[], float]) -> None:
        self._room = room
        self._bodies: dict[Kind, Cache[str, Fetched]] = {
            Kind.CERTIFICATE: Cache(room.entries, room.certificate_bytes, now),
            Kind.CRL: Cache(room.entries, room.crl_bytes, now),
        }
        # Sentences, not exceptions: those hold on to their frames.
        self._failures: Cache[tuple[Kind, str], str] = Cache(
            room.failures, room.failures * 4096, now
        )

    def find(self, kind: Kind, url: str) -> Fetched | str | None:
        """A body, why there is none, or None: not known."""
        return self._bodies[kind].get(url) or self._failures.get((kind, url))

    def keep(self, kind: Kind, url: str, fetched: Fetched) -> None:
        """For as long as its `seconds` say."""
        self._failures.drop((kind, url))
        size = len(fetched.body) + len(url) + _OVERHEAD
        self._bodies[kind].put(url, fetched, size, fetched.seconds)

    def fail(self, kind: Kind, url: str, why: str) -> None:
        """Do not ask again for a while."""
        size = len(why) + len(url) + _OVERHEAD
        self._failures.put((kind, url), why, size, self._room.failed_seconds)

    def shorten(self, kind: Kind, url: str, seconds: float) -> None:
        """Keep the body for ``seconds`` at most, but as long as a failure would count.

        Otherwise a CRL that is outdated where it is published would be fetched at each handshake.
        """
        self._bodies[kind].shorten(url, max(seconds, self._room.failed_seconds))

    def clear(self) -> None:
        """All of it."""
        for cache in self._bodies.values():
            cache.clear()
        self._failures.clear()
