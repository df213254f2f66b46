"""An attack as a sequence diagram in text."""

from __future__ import annotations

from collections.abc import Sequence

from kssl.proxy.demo.truncation.picture import LANES, Arrow, Lane, Note, Picture
from kssl.proxy.trace.render import printable

_LEFT, _LANE = 6, 30  # columns: of the first lifeline, and between two
_WIDTH = _LEFT + (len(LANES) - 1) * _LANE + _LEFT
_LIFE, _LINE = "│", {"passes": "─", "forged": "━", "swallowed": "╌"}
_SWALLOWED = "✗"


def render(pictures: Sequence[Picture]) -> str:
    """One below the other."""
    lines: list[str] = []
    for picture in pictures:
        lines += [printable(picture.title), "", _heads()]
        for step in picture.steps:
            lines += _arrow(step) if isinstance(step, Arrow) else _note(step)
        lines += [_row(), ""]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _x(lane: Lane) -> int:
    return _LEFT + LANES.index(lane) * _LANE


def _heads() -> str:
    line = [" "] * _WIDTH
    for lane in LANES:
        _write(line, _x(lane) - len(lane) // 2, lane)
    return "".join(line)


def _row() -> str:
    return "".join(_lifelines())


def _lifelines() -> list[str]:
    line = [" "] * _WIDTH
    for lane in LANES:
        line[_x(lane)] = _LIFE
    return line


def _write(line: list[str], at: int, text: str) -> None:
    line += [" "] * (at + len(text) - len(line))
    line[at : at + len(text)] = text


def _arrow(step: Arrow) -> list[str]:
    begin, end = _x(step.source), _x(step.target)
    left, right = min(begin, end), max(begin, end)
    above, line = _lifelines(), _lifelines()
    text = printable(step.text)
    # Over the first stretch where it would stand across a lifeline.
    middle = (left + right) // 2 if right - left == _LANE else begin + (end - begin) // 4
    _write(above, max(left + 2, middle - len(text) // 2), text)
    for column in range(left + 1, right):
        line[column] = _LINE[step.kind] if line[column] == " " else "┼"
    if step.kind == "swallowed":
        line[end] = _SWALLOWED
    elif end > begin:
        line[end - 1] = "▶"
    else:
        line[end + 1] = "◀"
    return ["".join(above), "".join(line)]


def _note(step: Note) -> list[str]:
    line = _lifelines()
    mark = "✗" if step.bad else "✓"
    _write(line, _x(step.lane) + 2, f"{mark} {printable(step.text)} ")
    return [_row(), "".join(line)]
