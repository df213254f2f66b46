"""What an event is a part of: a phase of the request's way, named by who works and on what.

Each event says by itself what it belongs to, except those that carry frames without knowing them
(the link's system calls, the worker's flush, the filter): these go with the frames around them.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from kssl.proxy.trace.recorder import Event, Recording


@enum.unique
class Phase(enum.Enum):
    """Who, towards the app or back, and doing what. The order here means nothing."""

    ASKS = ("client", "request", "sends the request")
    TAKES = ("front", "request", "reads it")
    RELAYS_RECORDS = ("filter", "request", "relays the records")
    OPENS = ("worker", "request", "opens the records")
    RELAYS_PLAINTEXT = ("filter", "request", "relays the plaintext")
    FORWARDS = ("front", "request", "forwards it")
    APP = ("app", "request", "answers")
    ANSWERED = ("front", "response", "reads the response")
    RELAYS_RESPONSE = ("filter", "response", "relays the response")
    SEALS = ("worker", "response", "seals the response")
    RELAYS_SEALED = ("filter", "response", "relays the records")
    SENDS = ("front", "response", "sends the records")
    GETS = ("client", "response", "reads the response")

    SHAKES_CLIENT = ("client", "handshake", "")
    SHAKES_FRONT = ("front", "handshake", "carries it")
    SHAKES_FILTER = ("filter", "handshake", "relays it")
    SHAKES_WORKER = ("worker", "handshake", "does the handshake")

    def __init__(self, actor: str, direction: str, work: str) -> None:
        self.actor = actor
        self.direction = direction
        self.work = work


@dataclass(frozen=True, slots=True)
class Placed:
    """An event, whose it is, and its phase."""

    event: Event
    actor: str
    pid: int
    phase: Phase


# Frames on the link, from the front end's point of view.
_OUT = {"OPEN": Phase.TAKES, "SEAL": Phase.ANSWERED, "FINISH": Phase.ANSWERED}
_IN = {
    "OPENED": Phase.FORWARDS,
    "OPENED_PART": Phase.FORWARDS,
    "PEER_CLOSED": Phase.FORWARDS,
    "SEALED": Phase.SENDS,
    "EMIT": Phase.SENDS,
    "FINISHED": Phase.SENDS,
}
_FRONT = {
    ("recv", "client"): Phase.TAKES,
    ("send", "client"): Phase.SENDS,
    ("drain", "client"): Phase.SENDS,
    ("recv", "upstream"): Phase.ANSWERED,
    ("send", "upstream"): Phase.FORWARDS,
    ("drain", "upstream"): Phase.FORWARDS,
    ("connected", "upstream"): Phase.FORWARDS,
    ("open", ""): Phase.TAKES,  # kernel mode: the front end itself
    ("start", ""): Phase.FORWARDS,
    ("answer", ""): Phase.ANSWERED,
    ("seal", ""): Phase.ANSWERED,
}
# In the worker, by the frame that it deals with.
_WORKER = {"OPEN": Phase.OPENS, "SEAL": Phase.SEALS, "FINISH": Phase.SEALS}
_WORKER_OUT = {
    "OPENED": Phase.OPENS,
    "OPENED_PART": Phase.OPENS,
    "PEER_CLOSED": Phase.OPENS,
    "SEALED": Phase.SEALS,
    "FINISHED": Phase.SEALS,
}
_RELAYED = {
    Phase.TAKES: Phase.RELAYS_RECORDS,
    Phase.OPENS: Phase.RELAYS_PLAINTEXT,
    Phase.ANSWERED: Phase.RELAYS_RESPONSE,
    Phase.SEALS: Phase.RELAYS_SEALED,
}
_SHAKES = {
    "client": Phase.SHAKES_CLIENT,
    "front": Phase.SHAKES_FRONT,
    "filter": Phase.SHAKES_FILTER,
    "worker": Phase.SHAKES_WORKER,
}
_NOTHING_MOVED = ("recv", "send", "drain")


def _in_order(recordings: Sequence[Recording], begin: int, end: int) -> list[Placed]:
    """All events of the time, as they began; of two at once the one around the other first."""
    found = [
        Placed(event, recording.actor, recording.pid, _SHAKES[recording.actor])
        for recording in recordings
        for event in recording.events
        if begin <= event.begin <= end
        and not (event.what in _NOTHING_MOVED and not event.size)
        and event.frame != "END"  # housekeeping of a connection before
    ]
    found.sort(key=lambda placed: (placed.event.begin, -placed.event.end))
    return found


def of_handshake(recordings: Sequence[Recording], begin: int, end: int) -> list[Placed]:
    """The events of a handshake: by actor only, because each does one thing."""
    return _in_order(recordings, begin, end)


def of_request(recordings: Sequence[Recording], begin: int, end: int) -> list[Placed]:
    """The events of one request that began within the time given, each with its phase."""
    events = _in_order(recordings, begin, end)
    coming = _coming(events)
    placed = []
    out: Phase | None = None  # of the last frame that left
    worker: Phase | None = None  # of the last one that the worker had
    for number, one in enumerate(events):
        event, phase = one.event, None
        if one.actor == "client":
            phase = Phase.ASKS if event.what == "send" else Phase.GETS
        elif one.actor == "front":
            if event.what == "frame-out":
                out = phase = _OUT.get(event.frame, out)
            elif event.what == "frame-in":
                phase = _IN.get(event.frame)
            elif event.peer == "link":
                phase = out if event.what != "recv" else coming.get(number)
            else:
                phase = _FRONT.get((event.what, event.peer))
        elif one.actor == "worker":
            if event.what == "frame-in":
                worker = _WORKER.get(event.frame, worker)
            elif event.what == "frame-out":
                worker = _WORKER_OUT.get(event.frame, worker)
            phase = worker
        elif one.actor == "filter":
            inwards = (event.what, event.peer) in (("recv", "front"), ("send", "worker"))
            carried = out if inwards else worker
            phase = _RELAYED.get(carried) if carried is not None else None
        if phase is not None:
            placed.append(Placed(event, one.actor, one.pid, phase))
    return placed


def _coming(events: list[Placed]) -> dict[int, Phase]:
    """For each of the front end's reads from the link: what the next frame after it is for."""
    found, following = {}, None
    for number in range(len(events) - 1, -1, -1):
        one = events[number]
        if one.actor != "front":
            continue
        if one.event.what == "frame-in":
            following = _IN.get(one.event.frame)
        elif one.event.what == "recv" and one.event.peer == "link" and following is not None:
            found[number] = following
    return found
