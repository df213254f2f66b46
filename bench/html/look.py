"""How a subject looks: the same colour and shape in every plot. Colours are in palette.css."""

from __future__ import annotations

from collections.abc import Iterable

from kssl.bench.html.markup import Markup, element, escape
from kssl.bench.html.model import Subject
from kssl.bench.html.svg import BOLD, TEXT, fit, mark, rect, text

# Shape as well as colour, for those who do not see the difference and for grey print.
_SHAPES = {"c-kernel": "circle", "c-user": "square", "c-hops": "diamond", "c-nginx": "triangle"}


def css_of(subject: Subject) -> str:
    """The class that gives its colour."""
    if subject.ours and subject.mode == "kernel":
        return "c-kernel"
    if subject.ours and subject.mode == "user":
        return "c-hops" if (subject.hops or 1) > 1 else "c-user"
    if subject.kind == "floor":
        return "c-floor"
    return "c-nginx" if subject.name == "nginx" else "c-peer"


def shape_of(subject: Subject) -> str:
    """Its mark, for `svg.mark`."""
    return _SHAPES.get(css_of(subject), "circle")


def row_name(subject: Subject, y: float, width: float, x: float = 0, size: float = TEXT) -> Markup:
    """Its name before the row around ``y``, at most ``width`` wide: ours stand out."""
    said = fit(subject.name, width, size * BOLD / TEXT if subject.ours else size)
    css = "label ours" if subject.ours else "label"
    return text(x, y + 4, said, css, size=size, full=subject.name)


def legend(entries: Iterable[tuple[Markup, str]]) -> Markup:
    """A list of keys and what they mean."""
    items = [
        element(
            "li",
            element("svg", key, viewBox="0 0 14 14", class_="key", aria_hidden="true"),
            escape(said),
        )
        for key, said in entries
    ]
    return element("ul", *items, class_="legend")


def subject_key(subject: Subject) -> tuple[Markup, str]:
    """For `legend`: its mark."""
    return mark(shape_of(subject), 7, 7, f"mark {css_of(subject)}"), subject.name


def swatch(css: str, said: str) -> tuple[Markup, str]:
    """For `legend`: a filled square."""
    return rect(1, 1, 12, 12, f"fill {css}", round_=2), said
