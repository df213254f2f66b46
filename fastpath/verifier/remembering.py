"""Verdicts, for as long as they cannot change, and at most a minute: browsers open six connections
at a time, and each asks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import MAXYEAR, datetime, timedelta

from kssl.fastpath.ipc.frames import pack_certificates
from kssl.fastpath.verifier.fetch.cache import Cache
from kssl.fastpath.verifier.rules.policy import Policy
from kssl.fastpath.verifier.rules.verdict import Verdict

ENTRIES = 10_000
SIZE = 64 << 20  # bytes
LONGEST = 60.0  # seconds
# After a search in which something could not be fetched, in seconds: it may be there soon, and
# `FetchPool` remembers what is worth no second request.
FAILED = 5.0

# Bytes that an entry costs beside the verdict, about.
_OVERHEAD = 512

Key = tuple[str, bytes]


def key_of(policy: str, presented: Sequence[bytes]) -> Key:
    """Other bytes are another question, even if a part of them is the same."""
    return policy, hashlib.sha256(pack_certificates(presented)).digest()


class Remembered:
    """Packed verdicts. Not thread-safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """``clock``: seconds, never goes back."""
        self._cache: Cache[Key, bytes] = Cache(ENTRIES, SIZE, clock)

    def get(self, key: Key) -> bytes | None:
        return self._cache.get(key)

    def keep(self, key: Key, packed: bytes, seconds: float) -> None:
        """Not at all if ``seconds`` are over."""
        if seconds > 0:
            self._cache.put(key, packed, len(packed) + _OVERHEAD, min(seconds, LONGEST))

    def clear(self) -> None:
        """All of them."""
        self._cache.clear()


def until(verdict: Verdict, policy: Policy, judged: datetime) -> datetime:
    """When the verdict may become another one, by itself; `LONGEST` after ``judged`` at most."""
    moments = [moment for moment in _moments(verdict, policy) if moment >= judged]
    return min([*moments, judged + timedelta(seconds=LONGEST)])


def _moments(verdict: Verdict, policy: Policy) -> Iterator[datetime]:
    for step in verdict.steps:
        yield step.not_before
        if step.not_after.year < MAXYEAR:  # the last year stands for no end (RFC 5280 §4.1.2.5)
            # Valid through this whole second (`explain.date_fault`).
            yield step.not_after + timedelta(seconds=1)
    if policy.crls is None:
        return
    for certificate in verdict.chain:
        for crl in policy.crls.lists.get(certificate.issuer, ()):
            yield crl.this_update
            if crl.next_update is not None:
                yield crl.next_update
            if policy.freshness is not None:
                yield crl.this_update + policy.freshness
