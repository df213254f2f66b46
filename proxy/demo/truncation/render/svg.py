"""An attack as a sequence diagram: one file without script or font of its own, the same for the
same pictures. Colours are classes, so that a dark page gets its own."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from kssl.proxy.demo.truncation.picture import LANES, Arrow, Lane, Note, Picture
from kssl.proxy.trace.render import printable

_LANE, _MARGIN = 250, 90  # px: between lifelines, and beside the outer ones
_HEAD, _STEP, _FOOT = 78, 40, 34  # px: heights
_WIDTH = 2 * _MARGIN + (len(LANES) - 1) * _LANE

_STYLE = """
svg { --page: #fff; --text: #1c2430; --soft: #66707f; --line: #c3cad4;
  --client: #5b6676; --attacker: #b3261e; --proxy: #0b6fae; --app: #227a3d; --good: #227a3d; }
@media (prefers-color-scheme: dark) {
  svg { --page: #12161c; --text: #e6eaf0; --soft: #97a2b2; --line: #3d4653;
    --client: #a3adbb; --attacker: #ff8a80; --proxy: #58b2ee; --app: #6fcf8b; --good: #6fcf8b; }
}
text { font: 12px system-ui, sans-serif; fill: var(--text); }
.title { font-size: 15px; font-weight: 600; }
.name { font-weight: 600; text-anchor: middle; }
.way { text-anchor: middle; font-size: 11px; }
.page { fill: var(--page); }
.life { stroke: var(--line); stroke-dasharray: 3 4; }
.arrow { stroke: var(--text); fill: none; }
.forged { stroke: var(--attacker); stroke-width: 2.5px; }
.swallowed { stroke: var(--soft); stroke-dasharray: 5 4; }
.halo { stroke: var(--page); stroke-width: 4px; paint-order: stroke; stroke-linejoin: round; }
.head { fill: var(--text); } .forged-head { fill: var(--attacker); }
.cross { stroke: var(--attacker); stroke-width: 2px; }
.client { fill: var(--client); } .attacker { fill: var(--attacker); }
.proxy { fill: var(--proxy); } .app { fill: var(--app); }
.bad { fill: var(--attacker); font-weight: 600; } .good { fill: var(--good); font-weight: 600; }
"""


def render(pictures: Sequence[Picture]) -> str:
    """One drawing with all of them, one below the other."""
    height = sum(map(_height, pictures))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img">',
        "<title>kssl demo truncation: a reply that is cut on its way</title>",
        f"<style>{_STYLE}</style>",
        f"<defs>{_marker('head')}{_marker('forged-head')}</defs>",
        f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
    ]
    top = 0
    for picture in pictures:
        parts += [f'<g transform="translate(0 {top})">', *_draw(picture), "</g>"]
        top += _height(picture)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _height(picture: Picture) -> int:
    return _HEAD + len(picture.steps) * _STEP + _FOOT


def _x(lane: Lane) -> int:
    return _MARGIN + LANES.index(lane) * _LANE


def _draw(picture: Picture) -> list[str]:
    foot = _HEAD + len(picture.steps) * _STEP
    parts = [f'<text class="title" x="20" y="28">{_text(picture.title)}</text>']
    for lane in LANES:
        x = _x(lane)
        parts += [
            f'<text class="name {lane}" x="{x}" y="58">{lane}</text>',
            f'<path class="life" d="M{x} {_HEAD - 12}V{foot}"/>',
        ]
    for index, step in enumerate(picture.steps):
        y = _HEAD + index * _STEP + 24
        parts += _arrow(step, y) if isinstance(step, Arrow) else _note(step, y)
    return parts


def _arrow(step: Arrow, y: int) -> list[str]:
    begin, end = _x(step.source), _x(step.target)
    side = 1 if end > begin else -1
    middle = begin + side * _LANE // 2  # in the first lane, where no lifeline crosses it
    parts = [f'<text class="way halo" x="{middle}" y="{y - 6}">{_text(step.text)}</text>']
    if step.kind == "swallowed":
        stop = end - side * 8
        parts += [
            f'<path class="arrow swallowed" d="M{begin} {y}H{stop}"/>',
            f'<path class="cross" d="M{end - 6} {y - 6}l12 12m0 -12l-12 12"/>',
        ]
        return parts
    head = "forged-head" if step.kind == "forged" else "head"
    kind = " forged" if step.kind == "forged" else ""
    parts.append(
        f'<path class="arrow{kind}" marker-end="url(#{head})" d="M{begin} {y}H{end - side * 2}"/>'
    )
    return parts


def _note(step: Note, y: int) -> list[str]:
    look, mark = ("bad", "✗") if step.bad else ("good", "✓")
    x, text = _x(step.lane) + 12, _text(step.text)
    return [f'<text class="{look} halo" x="{x}" y="{y}">{mark} {text}</text>']


def _marker(name: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" '
        'markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path class="{name}" d="M0 0 8 4 0 8z"/></marker>'
    )


def _text(text: str) -> str:
    return escape(printable(text), {'"': "&quot;"})
