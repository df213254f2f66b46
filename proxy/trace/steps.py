"""The numbered steps of a request, found in its events. Sans-I/O.

A step is a station: whoever has the request next. The order is that in which the stations first
took it up, so a request that went another way has other steps; nothing here knows that there
should be nine or five. A station that takes up the same part again and again (a large body in
batches) is one step with a count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kssl.proxy.trace.phases import Phase, Placed, of_handshake, of_request
from kssl.proxy.trace.recorder import Event, Recording
from kssl.proxy.trace.timeline import Stretch, Visit, partition, visits

# The stations of IIS 6, as "Differences in SSL request/response flow on IIS6 vs IIS7" names them.
# LSASS behind HTTPFilter is in "Enabling Kernel Mode SSL in Windows 2003 Server SP1".
_IIS_NAMES = {
    "client": "Client",  # only in a handshake
    "front": "HTTP.SYS",
    "filter": "HTTPFilter",
    "worker": "HTTPFilter",
    "app": "Worker process",
}
_BEHIND_A_FILTER = "LSASS"


@dataclass(frozen=True, slots=True)
class Step:
    """One station on the way; times in ns, `begin` after the first step's.

    `work` and `wait` are its share of the whole time: all steps' shares add up to it. `busy` is how
    long it was at work, also while another was.
    """

    number: int
    actor: str  # "client", "front", "filter", "worker" or "app"
    pid: int | None  # None: not a process of ours
    direction: str  # "request", "response" or "handshake"
    iis_name: str  # its name in IIS 6
    what: str  # what it does
    count: int  # how many times it took this up
    bytes_in: int
    bytes_out: int
    opened: int  # records
    sealed: int
    crypto: int  # ns in the record layer
    begin: int
    work: int
    wait: int
    busy: int
    stretches: tuple[Stretch, ...]  # for drawings; their times count from the same zero


@dataclass(frozen=True, slots=True)
class Walk:
    """A request's whole way. `front`: ns from the front end's first read to its last write; the
    steps between the client's first and last add up to it. `client`: ns as the client saw it."""

    steps: tuple[Step, ...]
    front: int
    client: int


def request_walk(recordings: Sequence[Recording], begin: int, end: int) -> Walk:
    """The steps of the one request that was on its way between ``begin`` and ``end``."""
    placed = of_request(recordings, begin, end)
    placed += _app(placed, end)
    placed.sort(key=lambda one: (one.event.begin, -one.event.end))
    number_of = _number_phases(placed)
    numbered = [(number_of[one.phase], one) for one in placed]
    found = visits(numbered)
    stretches, front = _shares_of_request(found, {n: one.actor for n, one in numbered})
    return _walk(numbered, found, stretches, front)


def handshake_walk(recordings: Sequence[Recording], begin: int, end: int) -> Walk:
    """The steps of the one handshake in that time: a ping-pong, so each change is a step."""
    numbered: list[tuple[int, Placed]] = []
    for one in of_handshake(recordings, begin, end):
        number = numbered[-1][0] if numbered else 0
        if not numbered or numbered[-1][1].actor != one.actor:
            number += 1
        numbered.append((number, one))
    found = visits(numbered)
    stretches = partition(found, found[0].begin, _end(found)) if found else []
    actors = {number: one.actor for number, one in numbered}
    fronts = [visit for visit in found if actors[visit.step] == "front"]
    front = _end(fronts) - fronts[0].begin if fronts else 0
    return _walk(numbered, found, stretches, front)


def _app(placed: Sequence[Placed], end: int) -> list[Placed]:
    """The app, of which only what it is sent and what it answers is seen: it has the request from
    the first bytes that were sent to it until bytes come back."""
    spans: list[tuple[int, int]] = []
    since: int | None = None
    sent = received = 0
    for one in placed:
        event = one.event
        if one.actor != "front" or event.peer != "upstream":
            continue
        if event.what in ("send", "drain"):
            sent += event.size
            since = event.end if since is None else since
        elif event.what == "recv":
            received += event.size
            if since is not None:
                spans.append((since, event.begin))
                since = None
    if since is not None:
        spans.append((since, end))
    events = [Event(begin, stop, "app") for begin, stop in spans]
    if events:
        events[0] = events[0]._replace(size=sent, made=received)
    return [Placed(event, "app", 0, Phase.APP) for event in events]


def _number_phases(placed: Iterable[Placed]) -> dict[Phase, int]:
    """Phases in the order of their first events; neighbours of one actor are one step."""
    numbers: dict[Phase, int] = {}
    number, before = 0, ""
    for one in placed:
        if one.phase not in numbers:
            number += one.phase.actor != before
            before = one.phase.actor
            numbers[one.phase] = number
    return numbers


def _shares_of_request(found: Sequence[Visit], actors: dict[int, str]) -> tuple[list[Stretch], int]:
    """Every moment's step, and the front end's whole time.

    While the front end has the request, the client's own work (on the rest of a large body) is
    not on the way; before and after, it is all there is.
    """
    ours = [visit for visit in found if actors[visit.step] != "client"]
    theirs = [visit for visit in found if actors[visit.step] == "client"]
    fronts = [visit for visit in ours if actors[visit.step] == "front"]
    if not fronts:
        return [], 0
    begin, end = fronts[0].begin, _end(fronts)
    before = [visit for visit in theirs if visit.begin < begin]
    after = [Visit(one.step, max(one.begin, end), one.end) for one in theirs if one.end > end]
    shares = partition(before, before[0].begin, begin) if before else []
    shares += partition(ours, begin, end)
    if after:
        if after[0].begin > end:  # on its way to the client
            shares.append(Stretch(after[0].step, end, after[0].begin, False))
        shares += partition(after, after[0].begin, _end(after))
    return shares, end - begin


def _walk(
    numbered: Sequence[tuple[int, Placed]],
    found: Sequence[Visit],
    shares: Sequence[Stretch],
    front: int,
) -> Walk:
    if not found:
        return Walk((), 0, 0)
    zero = found[0].begin
    members: dict[int, list[Placed]] = {}
    for number, one in numbered:
        members.setdefault(number, []).append(one)
    filtered = any(one.actor == "filter" for _, one in numbered)
    steps = []
    for number, those in sorted(members.items()):
        of_step = [visit for visit in found if visit.step == number]
        stretches = tuple(
            Stretch(number, share.begin - zero, share.end - zero, share.working)
            for share in shares
            if share.step == number
        )
        iis_name = _iis_name(those[0], filtered)
        steps.append(_step(number, those, of_step, stretches, iis_name, zero))
    return Walk(tuple(steps), front, _end(found) - zero)


def _step(
    number: int,
    those: Sequence[Placed],
    of_step: Sequence[Visit],
    stretches: tuple[Stretch, ...],
    iis_name: str,
    zero: int,
) -> Step:
    first = those[0]
    bytes_in, bytes_out = _bytes(those)
    sealing = [one.event for one in those if one.event.what == "seal"]
    opening = [one.event for one in those if one.event.what == "open"]
    return Step(
        number=number,
        actor=first.actor,
        pid=first.pid or None,
        direction=first.phase.direction,
        iis_name=iis_name,
        what=", ".join(dict.fromkeys(one.phase.work for one in those if one.phase.work)),
        count=len(of_step),
        bytes_in=bytes_in,
        bytes_out=bytes_out,
        opened=sum(event.records for event in opening),
        sealed=sum(event.records for event in sealing),
        crypto=sum(event.end - event.begin for event in (*opening, *sealing)),
        begin=of_step[0].begin - zero,
        work=sum(one.end - one.begin for one in stretches if one.working),
        wait=sum(one.end - one.begin for one in stretches if not one.working),
        busy=sum(visit.end - visit.begin for visit in of_step),
        stretches=stretches,
    )


def _bytes(those: Iterable[Placed]) -> tuple[int, int]:
    """What a step's process took and gave. On the link the frames are counted, not the system
    calls, which may carry frames of several steps."""
    taken = given = 0
    for one in those:
        event = one.event
        if one.actor == "app":
            taken, given = taken + event.size, given + event.made
        elif event.what == "frame-in":
            taken += event.size
        elif event.what == "frame-out":
            given += event.size
        elif event.peer != "link":
            taken += event.size if event.what == "recv" else 0
            given += event.size if event.what in ("send", "drain") else 0
    return taken, given


def _iis_name(first: Placed, filtered: bool) -> str:
    if first.phase is Phase.ASKS:
        return "Request"
    if first.phase is Phase.GETS:
        return "Response"
    if first.actor == "worker" and filtered:
        return _BEHIND_A_FILTER
    return _IIS_NAMES[first.actor]


def _end(found: Sequence[Visit]) -> int:
    return max(visit.end for visit in found)
