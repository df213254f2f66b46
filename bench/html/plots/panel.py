"""A drawing with a heading: what every plot consists of, several beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kssl.bench.html.markup import NOTHING, Markup, element, escape


@dataclass(frozen=True, slots=True)
class Panel:
    """``note`` says the unit and which direction is better."""

    heading: str
    note: str
    drawing: Markup


def panels(drawn: Sequence[Panel]) -> Markup:
    """Beside each other, as many as there is room for. Nothing for none."""
    if not drawn:
        return NOTHING
    return element("div", *map(_figure, drawn), class_="panels")


def _figure(panel: Panel) -> Markup:
    caption = element(
        "figcaption",
        element("strong", escape(panel.heading)),
        element("span", escape(panel.note)),
    )
    return element("figure", caption, panel.drawing)
