"""Read a page or a picture back: is it well-formed, and where is its text?"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

from kssl.bench.html.svg import BOLD, TEXT, text_width

_VOID = frozenset({"meta", "br"})
# Of text that plot.css has in bold; a class of which it is one makes it so.
_BOLD = frozenset({"ours", "name", "title", "heading"})


@dataclass
class Text:
    """A text of a drawing."""

    said: str
    x: float
    y: float
    size: float
    anchor: str
    css: str

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom; the width is an upper estimate."""
        bold = BOLD / TEXT if _BOLD & set(self.css.split()) else 1.0
        width = text_width(self.said, self.size * bold)
        left = self.x - {"start": 0.0, "middle": 0.5, "end": 1.0}[self.anchor] * width
        return left, self.y - 0.73 * self.size, left + width, self.y + 0.2 * self.size


@dataclass
class Drawing:
    """An SVG that is more than a key of a legend."""

    said: str
    width: float
    height: float
    texts: list[Text] = field(default_factory=list)


class Reading(HTMLParser):
    """Raises AssertionError where an element is not closed as it was opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.drawings: list[Drawing] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self._drawing: Drawing | None = None
        self.feed(page)
        self.close()
        assert not self._open, f"not closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"twice in <{tag}>: {names}"
        told = {name: value or "" for name, value in attrs}
        self.elements.append((tag, told))
        if tag == "svg" and told.get("role") == "img":
            _, _, width, height = map(float, told["viewbox"].split())
            self._drawing = Drawing(told.get("aria-label", ""), width, height)
            self.drawings.append(self._drawing)
        if tag == "text" and self._drawing is not None:
            self._drawing.texts.append(
                Text(
                    "", float(told["x"]), float(told["y"]), float(told.get("font-size", TEXT)),
                    told.get("text-anchor", "start"), told["class"],
                )
            )  # fmt: skip

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> without its beginning"
        assert self._open.pop() == tag, f"</{tag}> closes another"
        if tag == "svg":
            self._drawing = None

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._drawing is not None and self._open[-1] == "text":
            self._drawing.texts[-1].said += data

    def count(self, tag: str, css: str) -> int:
        """Elements of this name with this class."""
        return sum(
            name == tag and css in told.get("class", "").split() for name, told in self.elements
        )


def overlapping(drawing: Drawing) -> list[tuple[str, str]]:
    """Pairs of texts that touch, and texts that reach out of the drawing."""
    found = []
    for index, one in enumerate(drawing.texts):
        left, top, right, bottom = one.box
        # Half a unit: coordinates are rounded.
        if left < -0.5 or top < -0.5 or right > drawing.width + 0.5 or bottom > drawing.height:
            found.append((one.said, "the edge"))
        for other in drawing.texts[index + 1 :]:
            left2, top2, right2, bottom2 = other.box
            if left < right2 and left2 < right and top < bottom2 and top2 < bottom:
                found.append((one.said, other.said))
    return found
