"""What is wrong in a document, collected so that a person hears of everything at once."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from kssl.config.document.positions import KeyPath
from kssl.config.errors import Problem, ProblemsError

ENVIRONMENT, COMMAND_LINE = "environment", "command line"
"""What a `Problem` names as its file where the mistake is in none."""

_LONGEST = 60  # characters of a key or value in a message


class Report:
    """Problems and warnings of one reading. `file` is what messages call the document."""

    def __init__(self, file: str, lines: Mapping[KeyPath, int]) -> None:
        self._file = file
        self._lines = lines
        self._problems: list[Problem] = []
        self._warnings: list[Problem] = []

    def problem(self, path: KeyPath, text: str) -> None:
        self._problems.append(self._at(path, text))

    def warning(self, path: KeyPath, text: str) -> None:
        self._warnings.append(self._at(path, text))

    def problem_elsewhere(self, file: str, text: str) -> None:
        """`file` is `ENVIRONMENT` or `COMMAND_LINE`."""
        self._problems.append(Problem(file, 0, "", text))

    def warning_elsewhere(self, file: str, text: str) -> None:
        self._warnings.append(Problem(file, 0, "", text))

    def has_problem_below(self, key: str) -> bool:
        """Whether anything below the top-level key `key` is wrong."""
        return any(re.match(rf"{re.escape(key)}\b", found.key) for found in self._problems)

    def line(self, path: KeyPath) -> int:
        """The line of `path`, or of what it stands in; 0: in none."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 0)

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(map(str, self._in_order(self._warnings)))

    def check(self) -> None:
        """Raises ProblemsError if there is any problem."""
        if self._problems:
            raise ProblemsError(self._in_order(self._problems))

    def _at(self, path: KeyPath, text: str) -> Problem:
        return Problem(self._file, self.line(path), shown_path(path), text)

    def _in_order(self, problems: list[Problem]) -> list[Problem]:
        """By line, the document before what is in none; each once."""
        return sorted(
            dict.fromkeys(problems), key=lambda each: (each.file != self._file, each.line, each.key)
        )


def shown_path(path: KeyPath) -> str:
    """As in TOML, numbers from 1: ``site[2].upstreams``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        else:
            text += ("." if text else "") + shown_key(part)
    return text


def shown_key(key: str) -> str:
    bare = re.fullmatch(r"[A-Za-z0-9_-]+", key) is not None
    return shortened(key if bare else json.dumps(key, ensure_ascii=False))


def shown(value: object) -> str:
    """A value of tomllib's as it may stand in a message: short, and what it is."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return shortened(json.dumps(value, ensure_ascii=False))
        case int():
            # Python refuses to write out numbers of thousands of digits.
            return str(value) if value.bit_length() <= 64 else "a number of more than 64 bits"
        case float():
            return str(value)
        case dict():
            return "a table"
        case list():
            return "a list"
    return "a date or time"


def shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
