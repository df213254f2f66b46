"""Elements of HTML and SVG. What is no `Markup` cannot get into them without being escaped."""

from __future__ import annotations

import html
import re
from typing import NewType

Markup = NewType("Markup", str)
"""Text that is markup already. Only `element`, `escape` and `join` make it from strings."""

NOTHING = Markup("")

_VOID = frozenset({"meta", "br"})
_SHAPES = frozenset({"rect", "line", "circle", "path"})

# Control characters are not well-formed in XML, lone surrogates not in UTF-8, and marks that turn
# the direction of text could make a name look like another.
_UNFIT = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]"
)


def plain(value: object) -> str:
    """As text that a page can hold, not yet escaped."""
    return _UNFIT.sub("\ufffd", str(value))


def escape(value: object) -> Markup:
    """As text within an element or an attribute."""
    return Markup(html.escape(plain(value), quote=True))


def join(*parts: Markup) -> Markup:
    """One after the other."""
    return Markup("".join(parts))


def element(tag: str, *children: Markup, **attributes: str | float | None) -> Markup:
    """``<tag …>children</tag>``.

    An attribute that is None is left out. ``class_`` is written ``class``, ``text_anchor``
    ``text-anchor``.
    """
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Markup(f"<{tag}{said}>")
    if tag in _SHAPES and not children:
        return Markup(f"<{tag}{said}/>")
    return Markup(f"<{tag}{said}>{''.join(children)}</{tag}>")


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return escape(value)
    return f"{value:.1f}".rstrip("0").rstrip(".")
