"""Events, and the file in which a traced process leaves them when it ends."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns, thread_time_ns
from typing import NamedTuple


class Moment:
    """The beginning of a send, and how long it has worked since.

    A send wakes the process that waits for it, which may take this one's core: the call then
    returns long after the bytes are there. So its end is when it would have ended undisturbed: its
    beginning and the CPU time that it took.
    """

    __slots__ = ("_cpu", "time")

    def __init__(self) -> None:
        self.time = monotonic_ns()
        self._cpu = thread_time_ns()

    def worked_until(self) -> int:
        cpu = thread_time_ns() - self._cpu
        return min(monotonic_ns(), self.time + cpu)


class Event(NamedTuple):
    """One call that was watched. Times are CLOCK_MONOTONIC in ns, one clock for all processes.

    ===========  ==================================================================================
    what         and what the other fields say
    ===========  ==================================================================================
    recv, send   `peer`: "client", "link" or "upstream" (in the front end), "front" or "worker" (in
                 the others); `size`: bytes that were moved, 0 if none
    drain        a `send` of what the kernel had refused before
    connected    `peer` "upstream": a new connection is open
    frame-out    `frame`: its type; `size`: bytes on the link, the frame's header included
    frame-in     the same for a frame that came, and the time in which it was dealt with
    open, seal   `size`: bytes given to the record layer; `made`: bytes that came out; `records`
    start        a request goes on to the upstream
    answer       bytes from the upstream are dealt with; `size`
    flush        the worker writes its frames
    ===========  ==================================================================================
    """

    begin: int
    end: int
    what: str
    peer: str = ""
    frame: str = ""
    connection: int = 0  # a running number for each kind of peer; for frames the link's number
    size: int = 0
    made: int = 0
    records: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """The events of one process, in the order in which they ended."""

    actor: str  # "client", "front", "filter" or "worker"
    pid: int
    events: list[Event]


def write(folder: Path, actor: str, events: list[Event]) -> None:
    """Leaves this process's events in ``folder``, whole or not at all."""
    path = folder / f"{actor}-{os.getpid()}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"actor": actor, "pid": os.getpid(), "events": events}))
    part.rename(path)


def read(folder: Path) -> list[Recording]:
    """What all processes have left."""
    found = []
    for path in sorted(folder.glob("*.json")):
        told = json.loads(path.read_text())
        events = [Event(*event) for event in told["events"]]
        found.append(Recording(told["actor"], told["pid"], events))
    return found
