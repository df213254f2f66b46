"""What came out of each pair of an honest and an attacked run, and what should have.

A client's own behaviour is not assumed but seen: whoever refuses an honest reply because it ended
without close_notify is one that checks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field, replace
from typing import Literal

from kssl.proxy.demo.truncation.app import WHOLE
from kssl.proxy.demo.truncation.clients import Client, Outcome
from kssl.proxy.demo.truncation.wire import Wire

WHOLE_VERDICT, NOTICED, FOOLED, FALSE_ALARM = "whole", "noticed", "FOOLED", "false alarm"
Scene = Literal["reply", "request", "upstream"]

OFF, ON = "EnableSslCloseNotify=0", "EnableSslCloseNotify=1"
PASS, GUARD = 'upstream_truncation="pass"', 'upstream_truncation="abort"'
OWN = "its own"  # what another proxy does, which has no such setting


@dataclass(frozen=True, slots=True)
class Row:
    """One client in one setting. `mode` is empty for another proxy than kssl.

    `honest` and `attacked` are verdicts, `believes` is what the client has in the end when it is
    attacked, `told` its error. `fine` are the (honest, attacked) that the protocol allows;
    None: nobody's promise, only shown.
    """

    scene: Scene
    proxy: str
    mode: str
    setting: str
    client: str
    honest: str
    attacked: str
    believes: str
    told: str = ""
    fine: tuple[frozenset[str], frozenset[str]] | None = None
    wires: tuple[Wire, Wire] | None = field(default=None, compare=False)

    @property
    def as_expected(self) -> bool:
        return self.fine is None or (self.honest in self.fine[0] and self.attacked in self.fine[1])

    @property
    def where(self) -> str:
        """``kssl user mode, EnableSslCloseNotify=0, curl``"""
        mode = f" {self.mode} mode" if self.mode else ""
        return f"{self.scene}: {self.proxy}{mode}, {self.setting}, {self.client}"


def verdict(outcome: Outcome, *, attacked: bool) -> str:
    """What a client made of a reply."""
    if outcome.error:
        return NOTICED if attacked else FALSE_ALARM
    return WHOLE_VERDICT if outcome.body == WHOLE else FOOLED


def believes(outcome: Outcome) -> str:
    """The sentence that it takes for the reply, or that it takes none."""
    return f"nothing ({outcome.error})" if outcome.error else f'"{outcome.body}"'


def who_checks(rows: Iterable[Row]) -> frozenset[str]:
    """The clients that refuse a reply whose end is not proven, as seen in these."""
    return frozenset(
        row.client
        for row in rows
        if row.scene == "reply" and row.setting == OFF and row.honest == FALSE_ALARM
    )


def judged(row: Row, client: Client, checks: Collection[str]) -> Row:
    """The row with what the protocol promises for it; only kssl has promised anything."""
    if row.proxy != "kssl":
        return row
    safe = client.framed or client.name in checks
    honest, attacked = {WHOLE_VERDICT}, {NOTICED} if safe else {FOOLED}
    if row.setting == OFF and not client.framed:
        honest.add(FALSE_ALARM)
    elif row.setting == PASS:
        attacked = {FOOLED}
    elif row.setting == GUARD:
        attacked = {NOTICED, FOOLED} if client.deaf_to_resets and not safe else {NOTICED}
    return replace(row, fine=(frozenset(honest), frozenset(attacked)))
