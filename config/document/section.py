"""One table of the document: values of the right type, and a problem for each that is not."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kssl.config.document.keys import Key, by_name
from kssl.config.document.positions import KeyPath
from kssl.config.document.report import Report, shown, shown_key
from kssl.config.errors import ConfigError

T = TypeVar("T")


class Section:
    """The table at `path`, which may have `keys`. Every reader gives None for what is absent or
    wrong, and reports the wrong."""

    def __init__(
        self, report: Report, path: KeyPath, table: Mapping[str, Any], keys: tuple[Key, ...]
    ) -> None:
        self.report = report
        self.path = path
        self._table = table
        self._keys = keys
        known = {key.name: key for key in keys}
        for name in table:
            if name not in known:
                self.problem(f"unknown key; {_suggestion(name, list(known))}", name)

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def raw(self, key: str) -> Any:
        """What tomllib has read; None if it is absent."""
        return self._table.get(key)

    def problem(self, text: str, *below: str | int) -> None:
        self.report.problem((*self.path, *below), text)

    def warning(self, text: str, *below: str | int) -> None:
        self.report.warning((*self.path, *below), text)

    def text(self, key: str) -> str | None:
        value = self._table.get(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.problem(f"must be a text in quotes, not {shown(value)}", key)
        elif not value.strip():
            self.problem("must not be empty; remove the key if it is not wanted", key)
        elif "\0" in value:
            self.problem("must not hold a NUL character", key)
        else:
            return value
        return None

    def flag(self, key: str) -> bool | None:
        value = self._table.get(key)
        if value is None or isinstance(value, bool):
            return value
        self.problem(f"must be true or false, not {shown(value)}", key)
        return None

    def choice(self, key: str) -> str | None:
        """One of the words of the key's schema."""
        value = self.text(key)
        words: list[str] = by_name(self._keys, key).schema["enum"]
        if value is None or value in words:
            return value
        *others, last = (f'"{word}"' for word in words)
        self.problem(f"must be {', '.join(others)} or {last}, not {shown(value)}", key)
        return None

    def number(self, key: str, like: Key | None = None) -> int | None:
        """A whole number; its range is that of the key's schema, or of `like`."""
        value = self._table.get(key)
        if value is None:
            return None
        schema = (like or by_name(self._keys, key)).schema
        minimum, maximum = schema["minimum"], schema["maximum"]
        if isinstance(value, int) and not isinstance(value, bool) and minimum <= value <= maximum:
            return value
        self.problem(f"must be a whole number, {minimum}-{maximum}, not {shown(value)}", key)
        return None

    def texts(self, key: str) -> list[tuple[int, str]] | None:
        """The texts of a list, each with its index. Those that are no texts are left out."""
        value = self._table.get(key)
        if value is None:
            return None
        if isinstance(value, str):
            self.problem(f"must be a list: [{shown(value)}]", key)
            return None
        if not isinstance(value, list):
            self.problem(f"must be a list of texts, not {shown(value)}", key)
            return None
        for index, each in enumerate(value):
            if not isinstance(each, str):
                self.problem(f"must be a text in quotes, not {shown(each)}", key, index)
        return [(index, each) for index, each in enumerate(value) if isinstance(each, str)]

    def parsed(self, key: str, parse: Callable[[str], T]) -> list[tuple[int, T]] | None:
        """As `texts`, through `parse`, which raises ConfigError for one that is wrong."""
        texts = self.texts(key)
        if texts is None:
            return None
        found = []
        for index, text in texts:
            try:
                found.append((index, parse(text)))
            except ConfigError as error:
                self.problem(str(error), key, index)
        return found

    def table(self, key: str, keys: tuple[Key, ...]) -> Section | None:
        value = self._table.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.problem(f"must be a table, not {shown(value)}", key)
            return None
        return Section(self.report, (*self.path, key), value, keys)

    def tables(self, key: str, keys: tuple[Key, ...]) -> list[Section]:
        value = self._table.get(key)
        if value is None:
            return []
        if isinstance(value, dict):
            self.problem(f"write [[{key}]], in double brackets: there may be several", key)
            return []
        if not isinstance(value, list):
            self.problem(f"must be one or more tables, [[{key}]], not {shown(value)}", key)
            return []
        sections = []
        for index, each in enumerate(value):
            if isinstance(each, dict):
                sections.append(Section(self.report, (*self.path, key, index), each, keys))
            else:
                self.problem(f"must be a table, not {shown(each)}", key, index)
        return sections


def _suggestion(name: str, known: list[str]) -> str:
    lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1)
    if close:
        return f"did you mean {lower[close[0]]}?"
    return f"the keys here are {', '.join(map(shown_key, known))}"
