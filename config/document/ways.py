"""Ways to edit a TOML text: by the lines of one table, or as a whole. See
`kssl.config.document.edit`.

Finding the lines of a table looks at the lines alone, and a text of several lines that holds
``[[binding]]`` may mislead it: whoever calls these compares the outcome by `meant`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import tomlkit
from tomlkit.items import Table, Whitespace

from kssl.config.parameter import Value

PARAMETERS, BINDING = "parameters", "binding"

_TABLE_LINE = re.compile(r"\s*\[")
_BLANK_OR_COMMENT = re.compile(r"\s*(?:#.*)?")

Edit = Callable[[str], str | None]
"""The text as it was → as it should be; None: this way does not fit the text."""


def split_lines(text: str) -> list[str]:
    """With their line breaks. Not str.splitlines: a text in TOML may hold U+2028."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def in_table(name: str, change: Callable[[tomlkit.TOMLDocument], None], index: int = 0) -> Edit:
    """On the lines of the table `name` number `index`, as a document of their own."""

    def edit(text: str) -> str | None:
        lines = split_lines(text)
        found = _lines_of(lines, name, index)
        if found is None:
            return None
        start, end = found
        section = tomlkit.parse("".join(lines[start:end]))
        change(section)
        return "".join(lines[:start]) + tomlkit.dumps(section) + "".join(lines[end:])

    return edit


def _lines_of(lines: list[str], name: str, index: int) -> tuple[int, int] | None:
    """From the line ``[name]`` or ``[[name]]`` number `index` to the next table."""
    header = re.compile(rf"""\s*\[\[?\s*(["']?){name}\1\s*\]""")
    starts = [at for at, line in enumerate(lines) if header.match(line)]
    if index >= len(starts):
        return None
    start = starts[index]
    behind = range(start + 1, len(lines))
    return start, next((at for at in behind if _TABLE_LINE.match(lines[at])), len(lines))


def in_whole(change: Callable[[tomlkit.TOMLDocument], None]) -> Edit:
    """On the whole text, unless tomlkit would rearrange it ([[site]] in two places, for one)."""

    def edit(text: str) -> str | None:
        toml = tomlkit.parse(text)
        if tomlkit.dumps(toml) != text:
            return None
        change(toml)
        return tomlkit.dumps(toml)

    return edit


def appending(lines: str) -> Edit:
    """At the end of the file, which leaves all else where it is."""

    def edit(text: str) -> str:
        text += "" if not text or text.endswith("\n") else "\n"
        text += "" if not text or text.endswith(("\n\n", "\n\r\n")) else "\n"
        return text + lines

    return edit


def put(table: Any, key: str, value: Value) -> None:
    """A new key goes before the blank line at the end of `table` and whatever follows that: a
    comment there is about the next table."""
    if key in table or not isinstance(table, Table):
        table[key] = value
        return
    body = table.value.body
    start = len(body)
    while start and body[start - 1][0] is None:
        start -= 1
    blank = (at for at in range(start, len(body)) if _is_blank(body[at][1]))
    split = next(blank, len(body))
    held = body[split:]
    del body[split:]
    table[key] = value
    body.extend(held)


def _is_blank(item: object) -> bool:
    return isinstance(item, Whitespace) and "\n" in item.s


def without_binding(index: int) -> Edit:
    """The text without the lines of its ``[[binding]]`` number `index`."""

    def edit(text: str) -> str | None:
        lines = split_lines(text)
        found = _lines_of(lines, BINDING, index)
        if found is None:
            return None
        start, end = found
        while _BLANK_OR_COMMENT.fullmatch(lines[end - 1].rstrip()):
            end -= 1  # stops at the [[binding]] line at the latest
        rest = end
        while rest < len(lines) and not lines[rest].strip():
            rest += 1
        if rest > end and start and lines[start - 1].strip():
            rest -= 1  # what stood above stays apart from what comes next
        return "".join(lines[:start] + lines[rest:])

    return edit


def meant(text: str, wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """The data of `text` if that is `wanted`, but for a table without a key; else None."""
    try:
        found = tomllib.loads(text)
        same = canonical(_without_empty(found)) == canonical(_without_empty(wanted))
    except (ValueError, RecursionError):  # a TOMLDecodeError is a ValueError
        return None
    return found if same else None


def _without_empty(data: Mapping[str, Any]) -> dict[str, Any]:
    may_be_empty = (PARAMETERS, BINDING)
    return {key: value for key, value in data.items() if value or key not in may_be_empty}


def canonical(value: Any) -> Any:
    """For comparing: types count (1, 1.0 and true are three things), and NaN is itself."""
    if isinstance(value, Mapping):
        return {str(key): canonical(each) for key, each in value.items()}
    if isinstance(value, list):
        return [canonical(each) for each in value]
    return type(value).__name__, str(value)
