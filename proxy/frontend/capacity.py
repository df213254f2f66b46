"""What one front end may hold: descriptors and memory, of all connections together.

Both sides count: a client that waits for its answer needs a second descriptor, for the app. Some
stay for the service itself, so that it can always accept and refuse, restart a worker, reload, and
tell its status.

Memory is counted, not measured, because it must be known before the kernel's answer would be: a
fixed cost for each connection, and every byte that waits for a peer. Above the limit no new
connection is taken, and those are cut whose peers have taken nothing for longest.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from kssl.fastpath.net.channel import Channel
from kssl.fastpath.net.poller import Poller

# Descriptors for the service itself beyond those that are open when it has started: connections
# that wait to be refused, a worker's restart, a reload, `kssl status`, logs.
RESERVED_FILES = 64

# Bytes that an idle TLS connection costs in all processes: 36 KiB are measured
# (docs/benchmarks.md), and a little for what a head or a record leaves unfinished.
CONNECTION_COST = 40 * 1024

# Of the memory that is left when the service has started, the share for connections. The rest is
# for buffers of the kernel, for OpenSSL in handshakes, and for what nobody has counted.
_SHARE = 0.75
_LEAST = 16 * 1024 * 1024

# Cutting goes on until so much of the limit is used, lest each byte more begins it again.
_RELIEF = 0.9


class Holder(Protocol):
    """A connection, as this module sees it."""

    @property
    def held(self) -> int:
        """Bytes that wait here: for the client, for the app, or for the rest of a head."""

    @property
    def waits_since(self) -> int:
        """The turn (`Poller.turn`) in which the client took something last; the present one if
        nothing waits for it."""

    def cut(self) -> None:
        """End it at once, as incomplete: there is no memory for it."""


@dataclass(frozen=True, slots=True)
class FileLimit:
    """Descriptors: ``clients`` at most for clients, ``both`` for clients and upstreams together."""

    total: int
    both: int
    clients: int

    @classmethod
    def of(cls, total: int, open_now: int) -> FileLimit:
        """``total``: the limit of open files; ``open_now``: what the started service has open."""
        left = max(8, total - open_now)
        both = left - min(RESERVED_FILES, left // 4)
        # Some clients are idle, so more of them are taken than there are pairs.
        return cls(total, both, max(1, both * 5 // 8))

    @classmethod
    def now(cls) -> FileLimit:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return cls.of(soft, len(os.listdir("/proc/self/fd")))


def automatic_ceiling(limit: int, in_use: int) -> int:
    """Return MaxConnectionMemory in bytes where it is 0. ``limit``:
    `kssl.proxy.service.memory_limit`; ``in_use``: by the started service's processes."""
    return max(_LEAST, int((limit - in_use) * _SHARE))


class Capacity:
    """The limits of one front end, and what is used of them. `memory`: bytes."""

    __slots__ = ("_automatic", "_poller", "cut", "files", "memory")

    def __init__(self, poller: Poller, files: FileLimit, automatic: int) -> None:
        """``automatic``: from `automatic_ceiling`."""
        self._poller = poller
        self.files = files
        self._automatic = automatic
        self.memory = automatic
        self.cut = 0  # connections, for want of memory

    def configure(self, max_connection_memory: int) -> None:
        """Apply the parameter, in MiB."""
        self.memory = max_connection_memory << 20 or self._automatic

    def used_memory(self, connections: int) -> int:
        return connections * CONNECTION_COST + self._poller.waiting

    @property
    def used_files(self) -> int:
        return self._poller.watched

    def refusal(self, connections: int, most: int) -> str:
        """Return why a new client cannot be taken beside ``connections`` others; "" if it can.

        most: MaxConnections, 0 for no limit.
        """
        if most and connections >= most:
            return f"MaxConnections ({most})"
        files = self.files
        # An eighth stays for the apps of those that were taken already.
        if connections >= files.clients or self.used_files >= files.both - files.both // 8:
            return f"the limit of open files ({files.total})"
        if self.used_memory(connections + 1) > self.memory:
            return f"MaxConnectionMemory ({self.memory >> 20} MiB)"
        return ""

    @property
    def upstream_fits(self) -> bool:
        """Whether one more connection to an app may be opened."""
        return self.used_files < self.files.both

    def watch(self, connections: int, too_much: Callable[[], None]) -> None:
        """Have ``too_much`` called when more waits than ``connections`` leave room for. Call it
        again when there are more of them, or fewer."""
        room = max(0, self.memory - connections * CONNECTION_COST)
        self._poller.limit_waiting(room, too_much)

    def unwatch(self) -> None:
        self._poller.limit_waiting(sys.maxsize, _nothing)

    def may_exceed(self, connections: int, each: int) -> bool:
        """Whether the limit could be exceeded if all connections held ``each`` bytes more than is
        counted as it comes: in heads that are not complete, and in what is read behind a request
        and waits for its turn."""
        return self.used_memory(connections) + connections * each > self.memory

    def relieve(self, holders: Iterable[Holder], connections: int) -> int:
        """If the limit is exceeded, cut the slowest until there is room again, and return how many.

        Those that hold nothing stay.
        """
        held = [(each.waits_since, -each.held, number, each) for number, each in enumerate(holders)]
        used = connections * CONNECTION_COST - sum(entry[1] for entry in held)
        if used <= self.memory:
            return 0
        surplus = used - int(self.memory * _RELIEF)
        before = self.cut
        for _, minus_held, _, holder in sorted(held):
            if surplus <= 0:
                break
            if minus_held:
                holder.cut()
                surplus += minus_held - CONNECTION_COST
                self.cut += 1
        return self.cut - before

    def to_json(self, connections: int) -> dict[str, dict[str, int]]:
        return {
            "files": {"used": self.used_files, "limit": self.files.both},
            "memory": {
                "used": self.used_memory(connections),
                "limit": self.memory,
                "cut": self.cut,
            },
        }


class Closing:
    """The `Holder` of a connection of which nothing is left but what still has to be sent."""

    __slots__ = ("_channel",)

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    @property
    def held(self) -> int:
        return self._channel.backlog

    @property
    def waits_since(self) -> int:
        return self._channel.waits_since

    def cut(self) -> None:
        self._channel.give_up()


def _nothing() -> None:
    """In place of what is called above a limit."""
