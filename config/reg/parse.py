"""Reading .reg files: what one wants to change under our key, and what it holds besides."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kssl.config.errors import ConfigError, Problem, ProblemsError
from kssl.config.parameter import Parameter, Value
from kssl.config.reg import KEY, is_our_key
from kssl.config.reg.data import read_data
from kssl.config.reg.text import decode
from kssl.config.table import PARAMETERS

_KEY_LINE = re.compile(r"\[(-?)(.*)\]\s*(?:;.*)?", re.DOTALL)
_VALUE_LINE = re.compile(r'(?:@|"((?:[^"\\]|\\.)*)")\s*=(.*)', re.DOTALL)
_OPEN_TEXT = re.compile(r'\s*"(?:[^"\\]|\\.)*', re.DOTALL)
_LAST_OF_TEXT = re.compile(r'(?:[^"\\]|\\.)*"')
_MORE_HEX = re.compile(r"[0-9a-f,\s]+(?:\\|;.*)?", re.IGNORECASE | re.ASCII)
_CONTINUED = re.compile(r"\s*hex[^;\"]*\\\s*", re.IGNORECASE | re.DOTALL)

_BY_LOWER_NAME = {row.name.lower(): row for row in PARAMETERS}
_SHOWN = 200  # characters of a foreign name that a note repeats


@dataclass(frozen=True, slots=True)
class Assignment:
    """``"Name"=data`` under our key, in line `line`. `value` None: ``"Name"=-``."""

    line: int
    name: str  # as in the table
    value: Value | None


@dataclass(frozen=True, slots=True)
class RegFile:
    """What a file wants, in the order of its lines.

    `cleared`: the line of the last ``[-KEY]`` for our key, which deletes all values; 0: there is
    none. What stood before it is not among the `assignments`, since it would be deleted.
    `notes`: what was ignored and why, each a line for a person that begins with file and line.
    `ignored`: how many values that is.
    """

    assignments: tuple[Assignment, ...]
    cleared: int
    notes: tuple[str, ...]
    ignored: int

    def changes(self, present: Mapping[str, Value]) -> dict[str, Value | None]:
        """The outcome for each name; `present` are those that a ``[-KEY]`` would delete."""
        wanted: dict[str, Value | None] = dict.fromkeys(present) if self.cleared else {}
        wanted |= {assignment.name: assignment.value for assignment in self.assignments}
        return wanted


def parse_reg(data: bytes, file: str = "registration file") -> RegFile:
    """Everything in `data`; `file` is its name in messages.

    Raises:
        ProblemsError: all that is wrong under our key, and what is no .reg syntax elsewhere.
    """
    text = decode(data, file)
    return _Parser(file, text.version, text.lines, text.first).run()


class _Parser:
    def __init__(self, file: str, version: int, lines: Sequence[str], first: int) -> None:
        self._file = file
        self._version = version
        self._lines = lines
        self._first = first  # number of lines[0]
        self._next = 0  # index of the line after the current one
        self._assignments: list[Assignment] = []
        self._set_in: dict[str, int] = {}  # name → line of its last assignment
        self._cleared = 0
        self._notes: list[str] = []
        self._ignored = 0
        self._problems: list[Problem] = []
        # The key whose values follow: None before the first, and after one that cannot be read.
        self._ours: bool | None = None
        self._foreign: tuple[int, str] | None = None  # line and name of a key with values to count
        self._foreign_values = 0

    def run(self) -> RegFile:
        while self._next < len(self._lines):
            number = self._first + self._next
            line = self._lines[self._next].strip()
            self._next += 1
            if not line or line.startswith(";"):
                continue
            if line.startswith("["):
                self._key(number, line)
            else:
                self._value(number, line)
        self._end_of_key()
        if self._problems:
            raise ProblemsError(self._problems)
        return RegFile(tuple(self._assignments), self._cleared, tuple(self._notes), self._ignored)

    def _key(self, number: int, line: str) -> None:
        self._end_of_key()
        self._ours = None
        match = _KEY_LINE.fullmatch(line)
        if match is None:
            self._problem(number, "", "a key without its closing ]")
            return
        deletes, name = bool(match[1]), match[2]
        self._ours = is_our_key(name)
        if not self._ours and deletes:
            self._note(number, f"[-{_short(name)}] is not {KEY}; nothing is deleted")
        elif not self._ours:
            self._foreign = (number, name)
        elif deletes:
            self._cleared = number
            self._assignments.clear()
            self._set_in.clear()

    def _end_of_key(self) -> None:
        """One note for each foreign key: an export of a whole hive has a million values."""
        if self._foreign is not None:
            number, name = self._foreign
            count = self._foreign_values
            values = f"{count or 'no'} value{'' if count == 1 else 's'}"
            self._note(number, f"[{_short(name)}]: another key, ignored ({values})")
            self._ignored += count
        self._foreign, self._foreign_values = None, 0

    def _value(self, number: int, line: str) -> None:
        match = _VALUE_LINE.fullmatch(line)
        if match is None:
            if self._ours is not False:
                text = f'{_short(line)} is neither [KEY] nor "NAME"=DATA nor ; COMMENT'
                self._problem(number, "", text)
            return  # of another key: not ours to judge
        name = None if match[1] is None else re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL)
        data = self._continued(match[2])
        row = _BY_LOWER_NAME.get(name.lower()) if name is not None else None
        if self._ours is None:
            if not self._problems:  # otherwise the key above may be what is wrong
                text = f"a value before the first key; [{KEY}] must stand above it"
                self._problem(number, "", text)
        elif not self._ours:
            self._skip_text(number, data)
            self._foreign_values += 1
        elif row is None:
            self._skip_text(number, data)
            what = "the key's default value" if name is None else f'"{_short(name)}"'
            self._note(number, f"{what} has no meaning here, ignored")
            self._ignored += 1
        else:
            self._assign(number, row, data)

    def _assign(self, number: int, row: Parameter, data: str) -> None:
        try:
            value = read_data(data, row, self._version)
        except ConfigError as error:
            self._problem(number, row.name, str(error))
            return
        if row.name in self._set_in:
            earlier = self._set_in[row.name]
            self._note(number, f"{row.name} stands in line {earlier} too; this one counts")
        self._set_in[row.name] = number
        self._assignments.append(Assignment(number, row.name, value))

    def _continued(self, data: str) -> str:
        r"""`data` and the lines that follow it, as long as hex bytes end in ``\``.

        Where no line of hex bytes follows, the ``\`` stays, for `read_data` to find.
        """
        if not _CONTINUED.fullmatch(data):
            return data
        joined = data.rstrip()
        while joined.endswith("\\") and self._next < len(self._lines):
            line = self._lines[self._next].strip()
            if not _MORE_HEX.fullmatch(line):
                break
            joined = joined[:-1] + line
            self._next += 1
        return joined

    def _skip_text(self, number: int, data: str) -> None:
        """regedit writes a line break inside a text as it is: go to the line with its end."""
        if not _OPEN_TEXT.fullmatch(data):
            return
        while self._next < len(self._lines):
            line = self._lines[self._next]
            self._next += 1
            if _LAST_OF_TEXT.match(line):
                return
        self._problem(number, "", "a text that is never closed")

    def _note(self, number: int, text: str) -> None:
        self._notes.append(f"{self._file}:{number}: {text}")

    def _problem(self, number: int, key: str, text: str) -> None:
        self._problems.append(Problem(self._file, number, key, text))


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
