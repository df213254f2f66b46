"""One attack as steps between four stations, for the diagrams in text and SVG."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from kssl.proxy.demo.truncation.app import FIRST, REST
from kssl.proxy.demo.truncation.rows import FOOLED, NOTICED, OFF, ON, Row

Lane = Literal["client", "attacker", "proxy", "app"]
LANES: tuple[Lane, ...] = ("client", "attacker", "proxy", "app")
Kind = Literal["passes", "forged", "swallowed"]


@dataclass(frozen=True, slots=True)
class Arrow:
    """Something that goes from one station to another, and what is seen of it on its way."""

    source: Lane
    target: Lane
    text: str
    kind: Kind = "passes"


@dataclass(frozen=True, slots=True)
class Note:
    """What a station makes of it. `bad`: it has been fooled."""

    lane: Lane
    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    title: str
    steps: tuple[Arrow | Note, ...]


def pictures(rows: Iterable[Row]) -> list[Picture]:
    """A reply to a client that believes a bare FIN, with close-notify off, and to one that checks,
    with close-notify on; as far as there are such rows."""
    found: list[Picture] = []
    candidates = [row for row in rows if row.scene == "reply" and row.proxy == "kssl"]
    safe = {row.client for row in candidates if row.setting == OFF and row.honest != "whole"}
    for setting, wanted, clients in ((OFF, FOOLED, None), (ON, NOTICED, safe)):
        for row in candidates:
            suits = row.setting == setting and row.attacked == wanted and row.wires is not None
            if suits and (clients is None or row.client in clients):
                found.append(_picture(row))
                break
    return found


def _picture(row: Row) -> Picture:
    assert row.wires is not None
    honest, attacked = row.wires
    assert attacked.cut is not None
    cut = attacked.cut[0]
    records = list(enumerate(honest.to_client, start=1))
    steps: list[Arrow | Note] = [
        # What stands before the reply: tickets.
        *(_record(number, size) for number, size in records[: cut - 1]),
        Arrow("client", "proxy", f"record 1: {honest.to_server[0]:,} bytes"),
        Arrow("proxy", "app", "GET /order"),
        Arrow("app", "proxy", f'"…{FIRST[-15:]}"'),
        *(_record(number, size) for number, size in records[cut - 1 : cut]),
        Arrow("attacker", "client", f"{attacked.how}, forged", "forged"),
        Note("client", _made_of_it(row), bad=row.attacked == FOOLED),
        Arrow("app", "proxy", f'"{REST}"'),
    ]
    for number, size in records[cut:]:
        proof = " (close_notify)" if row.setting == ON and number == len(records) else ""
        text = f"record {number}: {size:,} bytes{proof}"
        steps.append(Arrow("proxy", "attacker", text, "swallowed"))
    steps.append(Arrow("proxy", "attacker", "FIN", "swallowed"))
    return Picture(f"{row.setting}, {row.mode} mode, client: {row.client}", tuple(steps))


def _made_of_it(row: Row) -> str:
    if row.attacked == FOOLED:
        return f"every reply ends with FIN alone: believes {row.believes}"
    return "FIN without close_notify: that was not the end; believes nothing"


def _record(number: int, size: int) -> Arrow:
    return Arrow("proxy", "client", f"record {number}: {size:,} bytes")
