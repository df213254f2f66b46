"""Requests that are cut between a client and the proxy: what the app gets, and the session."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.records import Direction
from tests.proxy.frontend.clients import Client, request
from tests.proxy.frontend.cuts.stage import Stage, cut_at, however_it_ends, sizes_of, whole_records
from tests.proxy.frontend.cuts.till import Till
from tests.proxy.frontend.rig import wait_for

FORM = b"to=Bob&eur=100000.00"


# -- what is sent --------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """Requests of one connection, ``{}`` in their targets for the number of the play. `pieces`:
    one record each. `ends`: with how many of these each of the requests is complete."""

    name: str
    pieces: tuple[bytes, ...]
    ends: tuple[int, ...]

    def numbered(self, number: int) -> list[bytes]:
        """Targets have as many digits always, so that all records are of the same size."""
        return [piece.replace(b"{}", b"%06d" % number) for piece in self.pieces]

    def begun(self, number: int, pieces: int) -> list[bytes]:
        """The targets of the requests whose heads are within so many of the pieces."""
        sent = b"".join(self.numbered(number)[:pieces])
        return [t for t in self.targets(number) if b"\r\n\r\n" in sent.partition(t)[2]]

    def targets(self, number: int) -> list[bytes]:
        return [b"/pay-%d-%06d" % (turn, number) for turn in range(len(self.ends))]


def _length(turn: int, *fields: bytes) -> bytes:
    return request(b"POST", b"/pay-%d-{}" % turn, b"Content-Length: %d" % len(FORM), *fields)


def _chunked(turn: int) -> bytes:
    return request(b"POST", b"/pay-%d-{}" % turn, b"Transfer-Encoding: chunked")


_HALF = len(FORM) // 2
_CHUNKS = (b"%x\r\n%b\r\n" % (_HALF, FORM[:_HALF]), b"%x\r\n%b\r\n" % (_HALF, FORM[_HALF:]))

ORDERS = (
    Order(
        "length",
        (_length(0)[:30], _length(0)[30:] + FORM[:5], FORM[5:_HALF], FORM[_HALF:]),
        (4,),
    ),
    Order(
        "chunked",
        (_chunked(0) + _CHUNKS[0][:8], _CHUNKS[0][8:], _CHUNKS[1], b"0\r\n", b"\r\n"),
        (5,),
    ),
    Order(
        "pipelined",
        (_length(0) + FORM[:7], FORM[7:] + _length(1)[:40], _length(1)[40:], FORM[:11], FORM[11:]),
        (2, 5),
    ),
    Order(
        "pipelined-chunked",
        (_length(0) + FORM + _chunked(1) + _CHUNKS[0], _CHUNKS[1] + b"0", b"\r\n\r\n"),
        (1, 3),
    ),
)


# -- the attack ----------------------------------------------------------------------------


@dataclass
class Play:
    """One connection of an attack. `due`: how many of its requests had arrived as a whole."""

    number: int
    how: str
    offset: int
    total: int
    due: int
    resumed: bool = False

    def __str__(self) -> str:
        return f"{self.how} behind byte {self.offset} of {self.total}"


def sizes_of_order(
    attacker: Attacker, context: ssl.SSLContext, order: Order, number: int, till: Till
) -> list[int]:
    """The sizes of the client's records, close_notify the last, of a play that nobody cuts."""
    wait = cut_at(attacker, Direction.TO_SERVER, None, "FIN")
    _visit(attacker.port, context, order, number, till, 0, [])
    sizes = sizes_of(wait(), Direction.TO_SERVER)
    assert len(sizes) == len(order.pieces) + 1
    return sizes


def attack(
    stage: Stage,
    attacker: Attacker,
    version: str,
    order: Order,
    till: Till,
    plays: Iterable[tuple[str, int]],
    *,
    sizes: Sequence[int],
    numbers: Iterator[int],
) -> list[Play]:
    """Cuts, each by (how, offset). After a FIN the client comes again with its session."""
    context, done = stage.context(version), []
    for how, offset in plays:
        number = next(numbers)
        due = sum(end <= whole_records(sizes, offset) for end in order.ends)
        play = Play(number, how, offset, sum(sizes), due)
        told = stage.ended_early()
        wait = cut_at(attacker, Direction.TO_SERVER, offset, how)
        session = _visit(attacker.port, context, order, number, till, offset, sizes)
        wait()
        if offset < play.total:
            # Counted when the session's fate is decided.
            _wait_for_more(stage, told)
        if how == "FIN":
            assert session is not None, play
            told = stage.ended_early()
            play.resumed = _resumes(stage.port, context, session)
            _wait_for_more(stage, told)  # it had no request
        done.append(play)
    return done


def _wait_for_more(stage: Stage, before: int) -> None:
    wait_for(lambda: stage.ended_early() > before, "one that ended early")


def _visit(
    port: int,
    context: ssl.SSLContext,
    order: Order,
    number: int,
    till: Till,
    offset: int,
    sizes: Sequence[int],
) -> ssl.SSLSession | None:
    """What is in front of the record that will be cut; the rest once the app has what it can have
    of that; then as many answers as come."""
    pieces = order.numbered(number)
    first = whole_records(sizes, offset)
    client = Client(port, context)
    with client, however_it_ends():
        client.send(*pieces[:first])
        if sum(sizes[:first]) < offset:  # else it is cut already
            for target in order.begun(number, first):
                wait_for(partial(till.has, target), "the head at the app")
        client.send(*pieces[first:])
        for _ in order.ends:
            client.read_answer()
        client.close_notify()
        client.read_to_end()
    return client.session


def _resumes(port: int, context: ssl.SSLContext, session: ssl.SSLSession) -> bool:
    with Client(port, context, session=session) as client:
        client.close_notify()
        client.read_to_end()
        return client.resumed


def judge(till: Till, order: Order, plays: Sequence[Play], ends: Sequence[str]) -> list[str]:
    """What went wrong in these plays, from what the app has seen of them. ``ends``: how the end of
    a request may look that was cut."""
    till.settle()
    complete = [target for seen in till.connections for target in seen.complete]
    failures = []
    for play in plays:
        targets = order.targets(play.number)
        paid = [target for target in targets if target in complete]
        # Whoever resets may lose what had arrived: then the proxy knows that nobody waits for it.
        right = [targets[: play.due]] if play.how == "FIN" else [
            targets[:count] for count in range(play.due + 1)
        ]  # fmt: skip
        if paid not in right or any(complete.count(target) > 1 for target in paid):
            failures.append(f"{play}: the app has {paid}, of {play.due} that had arrived")
        if play.how == "FIN" and play.resumed != (play.offset >= play.total):
            failures.append(f"{play}: the next handshake is {'short' if play.resumed else 'full'}")
    for seen in till.connections:
        if seen.rest and seen.ended not in ends:
            failures.append(f"a part of a request, then {seen.ended}: {seen.rest!r}")
    return failures
