"""The result as aligned text: a table and a conclusion for each scene."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from kssl.proxy.demo.truncation.closing import sentences
from kssl.proxy.demo.truncation.render import TITLES
from kssl.proxy.demo.truncation.rows import FALSE_ALARM, FOOLED, OWN, Row
from kssl.proxy.demo.truncation.run import SCENES, Result
from kssl.proxy.trace.render import printable

_HEAD = ("setting", "mode", "client", "honest", "attacked", "believes when attacked")
_BOLD, _DIM, _RED, _YELLOW = "1", "2", "31", "33"
_UNEXPECTED = " ✗ not as it should be"


def render(result: Result, *, width: int, colour: bool) -> str:
    """All scenes; ``width`` in columns is for the sentences: a table is as wide as it must be."""
    lines: list[str] = []
    for scene in SCENES:
        rows = result.of(scene)
        if not rows:
            continue
        lines += [_paint(TITLES[scene], _BOLD, colour), "", *_table(rows, colour), ""]
        for told in sentences(scene, rows):
            lines += textwrap.wrap(printable(told), width, subsequent_indent="  ")
        lines.append("")
    return "\n".join(lines) + "\n"


def verdict(result: Result) -> str:
    """The last lines: what was not as it should be, and what was not there."""
    lines = [f"not as the protocol says: {row.where}" for row in result.differs]
    lines += [f"could not be played: {what}" for what in result.failed]
    if result.left_out:
        lines.append(f"left out, not installed: {', '.join(result.left_out)}")
    if result.exit_status == 0:
        lines.append("Everything came out as the protocol says.")
    return "\n".join(map(printable, lines)) + "\n"


def _table(rows: Iterable[Row], colour: bool) -> list[str]:
    cells = [(_HEAD, ""), *_merged(rows)]
    widths = [max(len(line[column]) for line, _ in cells) for column in range(len(_HEAD))]
    lines: list[str] = []
    for line, code in cells:
        text = "  ".join(cell.ljust(size) for cell, size in zip(line, widths, strict=True))
        lines.append(_paint(text.rstrip(), code if lines else _DIM, colour))
    return lines


def _merged(rows: Iterable[Row]) -> list[tuple[tuple[str, ...], str]]:
    """The cells of each line, and its colour. Rows that differ in their mode alone are one."""
    modes: dict[tuple[str, str, str, str, str], list[str]] = {}
    for row in rows:
        setting = row.proxy if row.setting == OWN else row.setting
        mark = "" if row.as_expected else _UNEXPECTED
        key = (setting, row.client, row.honest, row.attacked, row.believes + mark)
        modes.setdefault(key, []).append(row.mode)
    # In the order of the settings, though the modes were played one after the other.
    order = list(dict.fromkeys(key[0] for key in modes))
    found = []
    for key in sorted(modes, key=lambda key: order.index(key[0])):
        setting, client, honest, attacked, belief = key
        mode = "both" if len(modes[key]) > 1 else modes[key][0]
        line = (setting, mode, client, honest, attacked, belief)
        code = _RED if FOOLED in line else _YELLOW if FALSE_ALARM in line else ""
        found.append((tuple(map(printable, line)), code))
    return found


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code and text else text
