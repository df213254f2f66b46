"""What was fetched, for a while: bounded in entries and bytes, the least recently used go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Cache(Generic[Key, Value]):
    """Not thread-safe: its owner locks. Entries whose time is over take room until they are asked
    for or are the oldest; they are never given out."""

    def __init__(self, entries: int, size: int, now: Callable[[], float]) -> None:
        """``size``: bytes of all values together, as their owner counts them."""
        self._entries = entries
        self._limit = size
        self._now = now
        self._kept: OrderedDict[Key, tuple[Value, int, float]] = OrderedDict()
        self.size = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> Value | None:
        """None: never there, pushed out, or too old."""
        found = self._kept.get(key)
        if found is None:
            return None
        value, _, end = found
        if end <= self._now():
            self.drop(key)
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, key: Key, value: Value, size: int, seconds: float) -> None:
        """One that is larger than the whole cache is not kept."""
        self.drop(key)
        if size > self._limit or self._entries < 1:
            return
        self._kept[key] = (value, size, self._now() + seconds)
        self.size += size
        while len(self._kept) > self._entries or self.size > self._limit:
            self.drop(next(iter(self._kept)))

    def shorten(self, key: Key, seconds: float) -> None:
        """Keep it for ``seconds`` from now at most."""
        found = self._kept.get(key)
        if found is not None:
            value, size, end = found
            self._kept[key] = (value, size, min(end, self._now() + seconds))

    def drop(self, key: Key) -> None:
        """Also if it is not there."""
        found = self._kept.pop(key, None)
        if found is not None:
            self.size -= found[1]

    def clear(self) -> None:
        """All of them."""
        self._kept.clear()
        self.size = 0
