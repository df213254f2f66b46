"""A reply that is cut between an app with TLS and the proxy, and what the proxy's client gets."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.records import Direction
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.cuts.replies import WHOLE, answer, by_framing, by_records
from tests.proxy.frontend.cuts.stage import Stage, cut_at, settled, sizes_of, whole_records
from tests.proxy.frontend.upstreams import UpstreamSide
from tests.strict_tls import StrictSocket

BODY = b"Order 4711: pay Bob EUR 100000.00 until Friday, or else."

# What may become of a reply at the client. A part that passes for the whole is what
# upstream_truncation = "pass" allows for replies that only the end of the connection ends.
BAD_GATEWAY, ABORTED, COMPLETE, PART = "502", "aborted", "complete", "a part as the whole"


@dataclass(frozen=True)
class Reply:
    """`pieces` of an app's answer, a record each. `framing` and `version` see `Framing`."""

    framing: bytes
    version: bytes

    def __str__(self) -> str:
        return f"{self.framing.decode()}-{self.version.decode()}"

    @property
    def pieces(self) -> tuple[bytes, ...]:
        """Two of the head, the second with the beginning of the body; two of the body."""
        said = answer(self.framing, BODY)
        body = said.index(b"\r\n\r\n") + 4
        if self.framing == b"chunked":  # the last chunk has a record of its own
            cuts = [0, 20, body + 7, body + 41, len(said) - 5, len(said)]
        else:
            cuts = [0, 20, body + 7, body + 31, len(said)]
        return tuple(said[a:b] for a, b in pairwise(cuts))

    def due(self, records: int, how: str, *, guard: bool) -> str:
        """What the client must get when so many records of the app have come, the last one being
        close_notify. The attacker ends the connection there."""
        said = b"".join(self.pieces[:records])
        if b"\r\n\r\n" not in said:
            return BAD_GATEWAY
        if self.framing != b"close":
            return COMPLETE if by_framing(said) == BODY else ABORTED
        if records > len(self.pieces):
            return COMPLETE
        if how == "RST" or guard:
            return ABORTED
        return COMPLETE if records == len(self.pieces) else PART


REPLIES = (
    Reply(b"length", b"1.1"),
    Reply(b"chunked", b"1.1"),
    Reply(b"close", b"1.1"),
    Reply(b"close", b"1.0"),
)


class Shop:
    """An app with TLS: one reply for each connection, close_notify, the end."""

    def __init__(self) -> None:
        self.reply = REPLIES[0]

    def __call__(self, side: UpstreamSide) -> None:
        side.read_request()
        side.send(*self.reply.pieces)
        assert isinstance(side.sock, StrictSocket)
        with contextlib.suppress(OSError):  # the proxy may have gone, for all that it knows
            side.sock.unwrap()


def _got(stage: Stage, reply: Reply) -> tuple[str, bytes]:
    """What a client gets, and its bytes."""
    ask = request(b"GET", b"/", b"Connection: close", version=reply.version)
    got, ending = by_records(stage.port, stage.context("TLSv1_3"), ask)
    if ending != WHOLE:
        return ABORTED, got
    if got.startswith(b"HTTP/1.1 502 "):
        return BAD_GATEWAY, got
    body = by_framing(got)
    if body is None or not BODY.startswith(body):
        return "nonsense", got
    return (COMPLETE if body == BODY else PART), got


def sizes_of_reply(stage: Stage, attacker: Attacker, shop: Shop, reply: Reply) -> list[int]:
    """The sizes of the app's records, close_notify the last, of a reply that nobody cuts."""
    shop.reply = reply
    wait = cut_at(attacker, Direction.TO_CLIENT, None, "FIN")
    got, _ = _got(stage, reply)
    assert got == COMPLETE
    return sizes_of(wait(), Direction.TO_CLIENT)


def attack(
    stage: Stage,
    attacker: Attacker,
    shop: Shop,
    reply: Reply,
    plays: Iterable[tuple[str, int]],
    *,
    sizes: Sequence[int],
    guard: bool,
) -> list[str]:
    """Cuts, each by (how, offset). The attacker stands in front of the app. Returns what went
    wrong; fails if the HTTPERR log has other lines than it should."""
    shop.reply = reply
    tickets = len(sizes) - len(reply.pieces) - 1
    failures, lines = [], {"Upstream_Truncated": 0, "Upstream": 0}
    before = {reason: stage.lines(reason) for reason in lines}
    for how, offset in plays:
        records = max(0, whole_records(sizes, offset) - tickets)
        due = reply.due(records, how, guard=guard)
        wait = cut_at(attacker, Direction.TO_CLIENT, offset, how)
        got, said = _got(stage, reply)
        link = wait()
        where = f"{how} behind byte {offset} of {sum(sizes)}"
        # In user mode a reset may overtake records that are at the worker. Then less has come.
        if got != due and not (how == "RST" and got in (BAD_GATEWAY, ABORTED)):
            failures.append(f"{where}: {got}, not {due}: {said[:200]!r}")
        elif got == ABORTED and reply.version == b"1.1" and by_framing(said) is not None:
            failures.append(f"{where}: complete by framing")
        if sum(sizes_of(link, Direction.TO_CLIENT)) > sum(sizes):
            failures.append(f"other records: {sizes_of(link, Direction.TO_CLIENT)}, not {sizes}")
        if got == BAD_GATEWAY or (got == ABORTED and how == "RST"):
            lines["Upstream"] += 1
        elif got == ABORTED:
            lines["Upstream_Truncated"] += 1
    if not failures:
        for reason, more in lines.items():
            settled(stage.lines, reason, before[reason] + more)
    return failures
