"""Primitives of the drawings.

A drawing is 340 units wide unless it says otherwise: one unit is about one pixel on a telephone
and in a column of the page on a large screen, so text of 11 units can be read on both.

Text is measured here, before any browser does: widths are those of DejaVu Sans, rounded up,
which is wider than what most systems have.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from kssl.bench.html import scale as scales
from kssl.bench.html.markup import NOTHING, Markup, element, escape, join
from kssl.bench.html.scale import Scale

WIDTH = 340.0
TEXT = 11.0
BOLD = TEXT * 1.12  # as wide as text of this size that is not bold

# In parts of the size of the text; all others are at most `_OTHER_WIDTH`.
_WIDTHS = {
    0.34: " 'ijl|",
    0.42: '!"()*,-./:;I[]frt\N{MIDDLE DOT}',
    0.55: "cszJL\N{EN DASH}",
    0.62: "aekovxyFT",
    0.72: "ABCDEGHKNOPRSUVXYZ&",
    0.85: "<>=+~#wQ\N{MULTIPLICATION SIGN}",
    1.0: "%@MWm\N{HORIZONTAL ELLIPSIS}",
}
_WIDTH_OF = {one: width for width, all_of in _WIDTHS.items() for one in all_of}
_OTHER_WIDTH, _WIDE = 0.65, 1.05


@lru_cache(maxsize=4096)
def text_width(said: str, size: float = TEXT) -> float:
    """An upper estimate, in units of the drawing."""
    return size * sum(map(_width, said))


def _width(one: str) -> float:
    if unicodedata.east_asian_width(one) in "WF":
        return _WIDE
    return _WIDTH_OF.get(one, _OTHER_WIDTH if ord(one) < 0x500 else _WIDE)


def fit(said: str, width: float, size: float = TEXT) -> str:
    """``said``, cut with an ellipsis where it is wider than ``width``."""
    if text_width(said, size) <= width:
        return said
    while said and text_width(said + "…", size) > width:
        said = said[:-1]
    return said.rstrip(" ,") + "…"


def wrap(said: str, width: float, lines: int, size: float = TEXT) -> list[str]:
    """``said`` in up to ``lines`` lines, broken between words; the last is cut if need be."""
    words, done = said.split(), list[str]()
    while words and len(done) < lines - 1:
        line = words.pop(0)
        while words and text_width(f"{line} {words[0]}", size) <= width:
            line = f"{line} {words.pop(0)}"
        done.append(fit(line, width, size))
    return [*done, fit(" ".join(words), width, size)] if words else done


def text(
    x: float, y: float, said: str, css: str = "label", *,
    anchor: str = "start", size: float = TEXT, full: str | None = None,
) -> Markup:  # fmt: skip
    """A line of text on the baseline ``y``. ``full`` is shown under the pointer."""
    children = [escape(said)]
    if full is not None and full != said:
        children.append(title(full))
    # Size and anchor are attributes, not style, so that a test can compute boxes. What the
    # drawing has already, or SVG by itself, is left out: there are thousands of these.
    return element(
        "text", *children, x=x, y=y, class_=css,
        font_size=None if size == TEXT else size,
        text_anchor=None if anchor == "start" else anchor,
    )  # fmt: skip


def title(said: str) -> Markup:
    """What is shown under the pointer."""
    return element("title", escape(said))


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css)


def rect(
    x: float, y: float, width: float, height: float, css: str, *, round_: float | None = None
) -> Markup:
    return element("rect", x=x, y=y, width=max(width, 0.0), height=height, rx=round_, class_=css)


def path(steps: str, css: str) -> Markup:
    """``steps`` as in the attribute ``d``."""
    return element("path", d=steps, class_=css)


def polyline(points: Sequence[tuple[float, float]], css: str) -> Markup:
    return path("M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points), css)


def mark(shape: str, x: float, y: float, css: str, radius: float = 4.5) -> Markup:
    """``circle``, ``square``, ``diamond``, ``triangle`` or ``tick``, all of about one area."""
    r = radius
    if shape == "square":
        return rect(x - r * 0.89, y - r * 0.89, r * 1.78, r * 1.78, css)
    if shape == "diamond":
        r *= 1.25
        return path(
            f"M{x:.1f} {y - r:.1f}l{r:.1f} {r:.1f}l{-r:.1f} {r:.1f}l{-r:.1f} {-r:.1f}z", css
        )
    if shape == "triangle":
        r *= 1.2
        side = r * 0.95
        return path(f"M{x:.1f} {y - r:.1f}l{side:.1f} {r * 1.7:.1f}h{-2 * side:.1f}z", css)
    if shape == "tick":
        return rect(x - r * 0.3, y - r * 1.1, r * 0.6, r * 2.2, css)
    return element("circle", cx=x, cy=y, r=r, class_=css)


def whisker(x1: float, x2: float, y: float, css: str, *, end: float = 3.0) -> Markup:
    """A line from ``x1`` to ``x2`` with a short stroke at both ends."""
    ends = f"M{x1:.1f} {y - end:.1f}v{2 * end:.1f}M{x2:.1f} {y - end:.1f}v{2 * end:.1f}"
    return path(f"M{x1:.1f} {y:.1f}H{x2:.1f}{ends}", css)


def group(*parts: Markup, css: str | None = None, tip: str | None = None) -> Markup:
    """Parts that belong together; ``tip`` is shown under the pointer."""
    return element("g", title(tip) if tip else NOTHING, *parts, class_=css)


def drawing(width: float, height: float, said: str, *parts: Markup) -> Markup:
    """The SVG. ``said`` describes it to those who do not see it."""
    return element(
        "svg", *parts, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=said,
        class_="plot", font_size=TEXT,
    )  # fmt: skip


def x_axis(
    scale: Scale, top: float, bottom: float, write: Callable[[float], str], *,
    most: int = 5, keep: float | None = None, right: float = WIDTH,
) -> Markup:  # fmt: skip
    """Grid lines at round values from ``top`` to ``bottom``, and their labels below.

    No label reaches beyond ``right``, and ``keep``, where it is a tick, has its label for certain.
    """

    def ends(value: float) -> tuple[float, float]:
        half = text_width(write(value)) / 2
        middle = min(max(scale(value), half), right - half)
        return middle - half, middle + half

    values = scales.ticks(scale, most)
    if keep is not None and keep not in values and scale.low <= keep <= scale.high:
        values.append(keep)
    labelled = scales.spaced(values, ends, first=keep)
    grid = [line(scale(value), top, scale(value), bottom, "grid") for value in labelled]
    labels = [
        text(sum(ends(value)) / 2, bottom + 14, write(value), "tick", anchor="middle")
        for value in labelled
    ]
    return join(*grid, *labels)


def y_ticks(scale: Scale, most: int = 6) -> list[float]:
    """Round values, as many as there is room for."""
    return scales.spaced(
        scales.ticks(scale, most), lambda value: (scale(value) - TEXT / 2, scale(value) + TEXT / 2)
    )


def y_axis(
    scale: Scale, values: Sequence[float], left: float, right: float, write: Callable[[float], str]
) -> Markup:
    """Grid lines at ``values`` from ``left`` to ``right``, and their labels to the left."""
    grid = [line(left, scale(value), right, scale(value), "grid") for value in values]
    labels = [
        text(left - 5, scale(value) + TEXT * 0.36, write(value), "tick", anchor="end")
        for value in values
    ]
    return join(*grid, *labels)
