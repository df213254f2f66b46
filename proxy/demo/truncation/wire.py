"""What the attacker has seen of one connection: sizes, and where it has cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kssl.proxy.demo.truncation.app import REST
from kssl.proxy.demo.truncation.link import Link
from kssl.proxy.demo.truncation.records import APPLICATION_DATA, Direction, Record

# What the rest of the sentence may be wrapped in, in bytes: TLS 1.2's explicit nonce (RFC 5288,
# 3; TLS 1.3 has one byte of type instead), a chunk's size and line ends, and the last chunk.
_MOST_WRAPPING = 7 + 6 + 5


@dataclass(frozen=True, slots=True)
class Wire:
    """`to_server`, `to_client`: bytes of each record behind the handshake, its header included;
    those that were swallowed too. `rest`: the number of the reply's record with the end of the
    sentence, 0 if there is none. `cut`: as `Link.cut_at`.
    """

    to_server: tuple[int, ...]
    to_client: tuple[int, ...]
    rest: int = 0
    cut: tuple[int, int] | None = None
    how: str = ""
    swallowed: int = 0


def wire_of(link: Link) -> Wire:
    """Of a connection that is over."""
    seen = {
        direction: tuple(record.seen for record in link.records(direction))
        for direction in Direction
    }
    return Wire(
        to_server=seen[Direction.TO_SERVER],
        to_client=seen[Direction.TO_CLIENT],
        rest=rest_in(link.records(Direction.TO_CLIENT)),
        cut=link.cut_at,
        how=link.cut.how if link.cut is not None and link.cut_at is not None else "",
        swallowed=link.swallowed,
    )


def rest_in(records: Iterable[Record]) -> int:
    """Known by its size alone: larger than close_notify or a last chunk, smaller than a head. A
    ticket may be as small, but comes before."""
    found = [
        record.number
        for record in records
        if record.type == APPLICATION_DATA
        and len(REST) <= record.content <= len(REST) + _MOST_WRAPPING
    ]
    return found[-1] if found else 0
