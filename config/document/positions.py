"""On which line each key of a TOML document stands.

tomllib gives the values but not where they come from. This scanner goes over a text that tomllib
has accepted, so it need not check anything: it only finds where keys, values and headers begin
and end (TOML 1.0; line breaks in inline tables, as in 1.1, are fine too).
"""

from __future__ import annotations

import contextlib
import re
import tomllib

KeyPath = tuple[str | int, ...]
"""Keys, and numbers from 0 within lists: ``("site", 1, "upstreams", 0)``."""

# Deeper keys get no line of their own. kssl.toml has five levels; a document could have so many
# that each with its whole path would not fit in memory.
MAX_DEPTH = 16

_SPACE = re.compile(r"[ \t]*")
_BLANK = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
# toml.abnf: a string that begins with three quotes may have one or two of them before its last
# three; everything else that is no array or table ends before these characters or a line break.
_SCALAR = re.compile(
    r'''"""(?:[^"\\]|\\[\s\S]|"(?!""))*"{3,5}'''
    r"""|'''(?:[^']|'(?!''))*'{3,5}"""
    r"""|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'"""
    r"""|[^,\]}#\n]+"""
)


def positions(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of each key, table and list element of `text`.

    A table's line is that of its header, else of the first key that goes into it. It never
    raises: of what it cannot follow the lines are missing.
    """
    scanner = _Scanner(text.replace("\r\n", "\n"))
    with contextlib.suppress(_LostError, RecursionError, ValueError):
        scanner.document()
    return scanner.lines


class _LostError(Exception):
    pass


class _Scanner:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0  # up to where line breaks are in `_line`
        self._tables: dict[KeyPath, int] = {}  # array of tables → index of its last one
        self.lines: dict[KeyPath, int] = {}

    def document(self) -> None:
        prefix: KeyPath = ()
        while self._skip(_BLANK) < len(self._text):
            if self._take("[["):
                prefix = self._header(array=True)
            elif self._take("["):
                prefix = self._header(array=False)
            else:
                self._pair(prefix)

    def _header(self, *, array: bool) -> KeyPath:
        line = self._current_line()
        path: KeyPath = ()
        parts = self._key()
        for part in parts[:-1]:
            path = self._newest(_below(path, part))
            self._note(path, line)
        path = _below(path, parts[-1])
        self._expect("]]" if array else "]")
        if not array:
            self._note(path, line, again=True)
            return path
        self._note(path, line)
        self._tables[path] = self._tables.get(path, -1) + 1
        path = self._newest(path)
        self._note(path, line)
        return path

    def _newest(self, path: KeyPath) -> KeyPath:
        """Of an array of tables the last one: what a header goes on with."""
        index = self._tables.get(path)
        return path if index is None else (*path, index)

    def _pair(self, path: KeyPath) -> None:
        line = self._current_line()
        for part in self._key():
            path = _below(path, part)
            self._note(path, line)
        self._expect("=")
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._take("["):
            index = 0
            while self._skip(_BLANK) < len(self._text) and not self._take("]"):
                element = _below(path, index)
                self._note(element, self._current_line())
                self._value(element)
                self._skip(_BLANK)
                self._take(",")
                index += 1
        elif self._take("{"):
            while self._skip(_BLANK) < len(self._text) and not self._take("}"):
                self._pair(path)
                self._skip(_BLANK)
                self._take(",")
        else:
            self._match(_SCALAR)

    def _key(self) -> list[str]:
        """A key, dotted or not, and the space around it."""
        parts = []
        while True:
            self._skip(_SPACE)
            found = self._match(_KEY)
            quoted = found[0] in "\"'"
            parts.append(tomllib.loads(f"key = {found}")["key"] if quoted else found)
            self._skip(_SPACE)
            if not self._take("."):
                return parts

    def _note(self, path: KeyPath, line: int, *, again: bool = False) -> None:
        if len(path) <= MAX_DEPTH and (again or path not in self.lines):
            self.lines[path] = line

    def _current_line(self) -> int:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._line

    def _skip(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at
        return self._at

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise _LostError
        self._at = found.end()
        return found[0]

    def _take(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._at):
            return False
        self._at += len(mark)
        return True

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise _LostError


def _below(path: KeyPath, part: str | int) -> KeyPath:
    """Too deep ones stay as they are: copying them over and over would take minutes."""
    return path if len(path) > MAX_DEPTH else (*path, part)
