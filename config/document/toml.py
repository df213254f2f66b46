"""The file kssl.toml as text, and the text as data, with what stands in the way in words."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from kssl.config.errors import ConfigError, Problem, ProblemsError
from kssl.config.trusted import read_trusted

WHAT = "configuration file"
"""What messages call it."""

# What tomllib says that does not say what to do.
_HINTS = {
    "Cannot overwrite a value": "this key or table is there already; keep one of them",
    "Cannot declare": "this table is there already; put the keys under one header",
    "Cannot mutate immutable namespace": "a table in { } is closed; put all of its keys there",
    "Invalid value": "texts stand in quotes, numbers and true or false do not",
    "Invalid statement": 'a line is KEY = VALUE, or [TABLE], or a comment with "#"',
    "Expected '=' after a key": "a line is KEY = VALUE",
    "Expected newline or end of document": "one KEY = VALUE in a line; texts stand in quotes",
    "Unescaped '\\' in a string": "write \\\\ for \\, or the text in single quotes",
}


def read_utf8(path: Path) -> str:
    """The text of the file `path`. Raises ConfigError, also if others may change the file."""
    data = read_trusted(path, WHAT)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ConfigError(f"{path} is in UTF-16; save it as UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        # TOML has none (toml.abnf), and what edits the file would refuse it later.
        raise ConfigError(f"{path} begins with a byte order mark; save it as UTF-8 without one")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = Problem(str(path), line, "", "not UTF-8; save the file as UTF-8")
        raise ProblemsError([problem]) from None


def parse_toml(text: str, file: str) -> dict[str, Any]:
    """`file` is its name in messages. Raises ProblemsError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", str(error))
        said, digits = where.groups() if where else (str(error), None)
        line = int(digits) if digits else text.rstrip("\n").count("\n") + 1
        hint = next((hint for words, hint in _HINTS.items() if said.startswith(words)), "")
        words = f"not TOML: {said}" + (f"; {hint}" if hint else "")
        raise ProblemsError([Problem(file, line, "", words)]) from None
    except ValueError:  # int() refuses thousands of digits
        problem = Problem(file, 0, "", "there is a number with far too many digits")
    except RecursionError:
        problem = Problem(file, 0, "", "lists or tables are nested too deeply")
    raise ProblemsError([problem])
