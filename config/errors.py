"""The one exception for everything a person can put right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class ConfigError(Exception):
    """A usage or configuration error: what is wrong, where, and what to do.

    ``str()`` is always one printable line. File names and typed values end up in the message,
    and a terminal must not obey escape sequences hidden in them, so whatever is not printable
    is shown escaped. The message never holds key material or a passphrase.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a file. `line` counts from 1; 0: no line of its own (something missing).

    `key` is written as in TOML, with a number for each of several tables: ``site[2].upstreams``.
    `text` says what is wrong and what is allowed.
    """

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return printable(
            f"{where}: {self.key}: {self.text}" if self.key else f"{where}: {self.text}"
        )


class ProblemsError(ConfigError):
    """Everything that is wrong in one or more files, in the order of the lines.

    ``str()`` is still one line: the first problem, and how many more there are.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        super().__init__(f"{problems[0]}{more}")


def printable(text: str) -> str:
    """`text` on one line, with everything escaped that a terminal might obey."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def reason(error: OSError) -> str:
    """The system's words for `error` without the errno and path that `str()` would repeat."""
    return error.strerror or type(error).__name__
