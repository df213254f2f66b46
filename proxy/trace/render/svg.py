"""A trace as a sequence diagram. Down the page the steps follow each other evenly, not to scale;
the strip below each diagram is the same time to scale.

One file without script or font of its own. Colours are classes, so that a dark page gets its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from kssl.proxy.trace.render import ACTORS, asked, micros, pid_of, printable, records, times, title
from kssl.proxy.trace.run import Trace
from kssl.proxy.trace.steps import Step, Walk

_LANE, _MARGIN, _EDGE = 215, 90, 60  # px: between lifelines, left of the first, right of the text
_HEAD, _ROW, _GAP, _BAR = 92, 30, 30, 20  # px: heights of head, step, way between; width of a step
_STRIP, _FOOT = 26, 48
_ORDER = ("client", "front", "filter", "worker", "app")
_MIN_NUMBERED = 16  # px of the strip that a step needs to show its number

_STYLE = """
svg { --page: #fff; --text: #1c2430; --soft: #66707f; --line: #c3cad4; --ink: #fff;
  --client: #5b6676; --front: #0b6fae; --filter: #a86a00; --worker: #8a3fb0; --app: #227a3d; }
@media (prefers-color-scheme: dark) {
  svg { --page: #12161c; --text: #e6eaf0; --soft: #97a2b2; --line: #3d4653; --ink: #12161c;
    --client: #a3adbb; --front: #58b2ee; --filter: #e2a83d; --worker: #cf93ee; --app: #6fcf8b; }
}
text { font: 12px system-ui, sans-serif; fill: var(--text); }
.title { font-size: 15px; font-weight: 600; }
.soft { fill: var(--soft); }
.name { font-weight: 600; text-anchor: middle; }
.pid { text-anchor: middle; fill: var(--soft); font-size: 11px; }
.way { text-anchor: middle; font-size: 11px; }
.number { fill: var(--ink); text-anchor: middle; font-size: 11px; font-weight: 600; }
.page { fill: var(--page); }
.life { stroke: var(--line); stroke-dasharray: 3 4; }
.arrow { stroke: var(--text); fill: none; }
.halo { stroke: var(--page); stroke-width: 4px; paint-order: stroke; stroke-linejoin: round; }
.head { fill: var(--text); }
.waiting { opacity: .35; }
.client { fill: var(--client); } .front { fill: var(--front); } .filter { fill: var(--filter); }
.worker { fill: var(--worker); } .app { fill: var(--app); }
"""


def render(traces: Sequence[Trace], *, handshake: bool = False) -> str:
    """One drawing with all traces, one below the other."""
    diagrams: list[_Diagram] = []
    for trace in traces:
        if handshake:
            diagrams.append(_Diagram(trace, trace.handshake, f"{title(trace)}: handshake"))
        diagrams.append(_Diagram(trace, trace.walk, title(trace)))
    width = max(diagram.width for diagram in diagrams)
    height = sum(diagram.height for diagram in diagrams)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>{_text('kssl trace: ' + asked(traces[0]))}</title>",
        f"<style>{_STYLE}</style>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path class="head" d="M0 0 8 4 0 8z"/></marker></defs>',
        f'<rect class="page" width="{width}" height="{height}"/>',
    ]
    top = 0
    for diagram in diagrams:
        parts += [f'<g transform="translate(0 {top})">', *diagram.draw(), "</g>"]
        top += diagram.height
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Diagram:
    """One walk: lifelines, steps, the ways between them, and the strip."""

    def __init__(self, trace: Trace, walk: Walk, heading: str) -> None:
        self._trace, self._walk, self._heading = trace, walk, heading
        # In kernel mode the worker stands by: it did the handshake.
        seen = {step.actor for step in (*trace.handshake.steps, *trace.walk.steps)}
        self._lanes = [actor for actor in _ORDER if actor in seen]
        self._foot = _HEAD + len(walk.steps) * (_ROW + _GAP)
        self.width = _MARGIN + (len(self._lanes) - 1) * _LANE + _LANE + _EDGE
        self.height = self._foot + _STRIP + _FOOT

    def draw(self) -> list[str]:
        return [*self._heads(), *self._steps(), *self._strip()]

    def _x(self, actor: str) -> int:
        return _MARGIN + self._lanes.index(actor) * _LANE

    def _heads(self) -> list[str]:
        parts = [
            f'<text class="title" x="20" y="26">{_text(self._heading)}</text>',
            f'<text class="soft" x="20" y="44">{_text(asked(self._trace))}</text>',
        ]
        pids = {
            step.actor: pid_of(self._trace, step)
            for step in (*self._trace.handshake.steps, *self._trace.walk.steps)
        }
        for actor in self._lanes:
            x, pid = self._x(actor), pids.get(actor)
            parts += [
                f'<text class="name {actor}" x="{x}" y="68">{ACTORS[actor]}</text>',
                f'<text class="pid" x="{x}" y="82">{f"pid {pid}" if pid else ""}</text>',
                f'<path class="life" d="M{x} {_HEAD - 4}V{self._foot - _GAP + 8}"/>',
            ]
        return parts

    def _steps(self) -> list[str]:
        parts: list[str] = []
        steps = self._walk.steps
        for index, step in enumerate(steps):
            top = _HEAD + index * (_ROW + _GAP)
            parts += self._step(step, top)
            if index + 1 < len(steps):
                parts += self._way(step, steps[index + 1], top + _ROW)
        return parts

    def _step(self, step: Step, top: int) -> list[str]:
        x = self._x(step.actor)
        name = _text(step.iis_name + times(step))
        told = [f"{micros(step.work)}", step.what, records(step)]
        return [
            f'<rect class="{step.actor}" x="{x - _BAR // 2}" y="{top}" width="{_BAR}" '
            f'height="{_ROW}" rx="3"/>',
            f'<text class="number" x="{x}" y="{top + 19}">{step.number}</text>',
            f'<text class="halo" x="{x + 16}" y="{top + 12}">{name}</text>',
            f'<text class="soft halo" x="{x + 16}" y="{top + 26}">'
            f"{_text(' · '.join(part for part in told if part))}</text>",
        ]

    def _way(self, step: Step, following: Step, y: int) -> list[str]:
        """What is handed on, and how long it waited to be taken up."""
        begin, end = self._x(step.actor), self._x(following.actor)
        side = 1 if end > begin else -1
        middle = begin + side * _LANE // 2  # in the first lane, where no lifeline crosses it
        line = y + _GAP - 8
        told = f"{step.bytes_out:,} B" if step.bytes_out else ""
        # On its way to the client it is nobody's but the last step's.
        wait = step.wait or (following.wait if following is self._walk.steps[-1] else 0)
        waited = f"waited {micros(wait)}" if wait else ""
        label = " · ".join(part for part in (told, waited) if part)
        return [
            f'<path class="arrow" marker-end="url(#head)" d="M{begin} {line}H{end - side * 2}"/>',
            f'<text class="way halo" x="{middle}" y="{line - 5}">{_text(label)}</text>',
        ]

    def _strip(self) -> list[str]:
        top, left = self._foot + 16, 20
        whole, room = max(1, self._walk.client), self.width - 40
        said = f"to scale: {micros(self._walk.client)} as the client saw it, " + (
            f"{micros(self._walk.front)} in the front end and behind it; waiting is pale"
        )
        parts = [f'<text class="soft" x="{left}" y="{top - 6}">{_text(said)}</text>']
        for step in self._walk.steps:
            widest, middle = 0.0, 0.0
            for stretch in step.stretches:
                x = left + room * stretch.begin / whole
                width = room * (stretch.end - stretch.begin) / whole
                pale = "" if stretch.working else " waiting"
                parts.append(
                    f'<rect class="{step.actor}{pale}" x="{x:.2f}" y="{top}" '
                    f'width="{width:.2f}" height="{_STRIP}"/>'
                )
                if stretch.working and width > widest:
                    widest, middle = width, x + width / 2
            if widest >= _MIN_NUMBERED:
                parts.append(
                    f'<text class="number" x="{middle:.2f}" y="{top + 17}">{step.number}</text>'
                )
        return parts


def _text(text: str) -> str:
    return escape(printable(text), {'"': "&quot;"})
