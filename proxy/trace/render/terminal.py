"""A trace as aligned text: a line for each step, with its part of the time drawn to scale."""

from __future__ import annotations

from collections.abc import Sequence

from kssl.proxy.trace.render import ACTORS, asked, micros, pid_of, printable, records, times, title
from kssl.proxy.trace.run import Trace
from kssl.proxy.trace.steps import Step, Walk

_BLOCKS = " ▁▂▃▄▅▆▇█"
_WAITING = "·"
_MIN_BAR = 16
_WORTH_SAYING = 0.1  # of the whole time: work that was done while another step had the time
_COLOURS = {"client": "", "front": "36", "filter": "33", "worker": "35", "app": "32"}
_BOLD, _DIM = "1", "2"
_ARROWS = {"request": "→", "response": "←", "handshake": "↔"}

_HEAD = ("#", "IIS", "", "kssl", "bytes in", "bytes out", "records", "worked", "waited")
_RIGHT = {"#", "bytes in", "bytes out", "worked", "waited"}


def render(traces: Sequence[Trace], *, width: int, colour: bool, handshake: bool = False) -> str:
    """All traces, one below the other; ``width`` in columns is for the bars, and may be exceeded
    by the table itself."""
    paint = _Paint(colour)
    lines: list[str] = []
    for trace in traces:
        lines += [paint(title(trace), _BOLD), asked(trace)]
        if handshake:
            lines += ["", "handshake", *_table(trace, trace.handshake, width, paint)]
            lines += ["", "request"]
        lines += _table(trace, trace.walk, width, paint)
        lines += [_sum(trace.walk), ""]
    lines += _compare(traces)
    return "\n".join(lines) + "\n"


class _Paint:
    def __init__(self, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and code and text else text


def _table(trace: Trace, walk: Walk, width: int, paint: _Paint) -> list[str]:
    rows = [_HEAD, *(_cells(trace, step) for step in walk.steps)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    texts = [
        "  ".join(
            cell.rjust(size) if name in _RIGHT else cell.ljust(size)
            for name, cell, size in zip(_HEAD, row, widths, strict=True)
        )
        for row in rows
    ]
    room = width - len(texts[0]) - 2
    if room < _MIN_BAR:
        bars = [""] * len(walk.steps)
    else:
        bars = ["  " + _bar(step, walk.client, room) for step in walk.steps]
    lines = [paint(texts[0].rstrip(), _DIM)]
    for step, text, bar in zip(walk.steps, texts[1:], bars, strict=True):
        lines.append(paint((text + bar).rstrip(), _COLOURS[step.actor]))
    return ["", *lines]


def _cells(trace: Trace, step: Step) -> tuple[str, ...]:
    pid = pid_of(trace, step)
    name = ACTORS[step.actor] + (f" {pid}" if pid is not None else "") + times(step)
    return (
        str(step.number),
        step.iis_name,
        _ARROWS[step.direction],
        printable(name),
        f"{step.bytes_in:,}" if step.bytes_in else "",
        f"{step.bytes_out:,}" if step.bytes_out else "",
        records(step),
        micros(step.work),
        micros(step.wait) if step.wait else "",
    )


def _bar(step: Step, whole: int, room: int) -> str:
    """The time from left to right: how high a block is says how much of its moment the step
    worked; a dot is waiting."""
    cell = max(1, whole) / room
    worked, waited = [0.0] * room, [0.0] * room
    for stretch in step.stretches:
        share = worked if stretch.working else waited
        for number in range(int(stretch.begin / cell), min(room - 1, int(stretch.end / cell)) + 1):
            begin, end = max(stretch.begin, number * cell), min(stretch.end, (number + 1) * cell)
            share[number] += max(0.0, end - begin) / cell
    return "".join(
        _BLOCKS[min(8, int(work * 8 + 0.999))] if work > 0.001 else _WAITING if wait > 0.5 else " "
        for work, wait in zip(worked, waited, strict=True)
    )


def _sum(walk: Walk) -> str:
    """What the steps between the client's add up to."""
    ours = [step for step in walk.steps if step.actor != "client"]
    if not ours:
        return "the front end saw nothing of it"
    span = f"step {ours[0].number}" if len(ours) == 1 else f"{ours[0].number} to {ours[-1].number}"
    work, wait = sum(step.work for step in ours), sum(step.wait for step in ours)
    crypto = sum(step.crypto for step in ours)
    beside = sum(step.busy - step.work for step in walk.steps)
    more = (
        f"; {micros(beside)} more were worked beside these"
        if beside > walk.client * _WORTH_SAYING
        else ""
    )
    return (
        f"front end {micros(walk.front)} (steps {span}: {micros(work)} worked, {micros(wait)} "
        f"waited; {micros(crypto)} of it in the record layer{more}), client {micros(walk.client)}"
    )


def _compare(traces: Sequence[Trace]) -> list[str]:
    if len(traces) < 2:
        return []
    told = ", ".join(
        f"{trace.mode} mode {len(trace.walk.steps)} steps and {micros(trace.walk.front)}"
        for trace in traces
    )
    return [f"{told}. One request, watched; `kssl bench` measures."]
