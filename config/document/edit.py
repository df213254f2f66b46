"""Editing kssl.toml: comments, order and spelling stay as a person has written them.

    edit_file(path, state_dir, change):  lock ─ read ─ change(Document) ─ write beside, rename

An edit is tried on the few lines it is about, with tomlkit for those lines or by the lines alone;
where a file is written in another way (inline tables, dotted keys) tomlkit edits the whole.
Each attempt is held against the data that the text must mean afterwards, as tomllib reads it. So
finding lines may be simple, and an edit that would touch anything else is an error, not a surprise.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from kssl.config import statedir
from kssl.config.document.toml import WHAT, parse_toml, read_utf8
from kssl.config.document.ways import (
    BINDING,
    PARAMETERS,
    Edit,
    appending,
    canonical,
    in_table,
    in_whole,
    meant,
    put,
    split_lines,
    without_binding,
)
from kssl.config.errors import ConfigError, Problem, ProblemsError
from kssl.config.parameter import Value
from kssl.config.parameters import find_parameter
from kssl.config.trusted import check_trusted_folder


class Document:
    """The text of a kssl.toml that is being changed. `file` is its name in messages."""

    def __init__(self, text: str, file: str = "kssl.toml") -> None:
        """Raises ConfigError if `text` is not TOML."""
        self._file = file
        self._text = text
        self._data = parse_toml(text, file)
        try:
            canonical(self._data)
        except ValueError:  # str() caps the digits that it converts
            raise ConfigError(f"{file} cannot be edited: a number has too many digits") from None
        self._crlf = "\r\n" in text and "\n" not in text.replace("\r\n", "")

    def text(self) -> str:
        """The file's new content, exactly the old one if nothing has changed."""
        return self._text

    def data(self) -> dict[str, Any]:
        """What it means: a copy of what tomllib reads."""
        return copy.deepcopy(self._data)

    # The parameters.

    def profile(self) -> str:
        """The file's ``profile``, "" without one. Raises ConfigError."""
        profile = self._data.get("profile", "")
        if not isinstance(profile, str):
            raise ConfigError(f"{self._file}: profile: must be a text in quotes")
        return profile

    def parameters(self) -> dict[str, Value]:
        """What the file sets, by registry name.

        Raises:
            ProblemsError: names that do not exist or stand twice, and bad values: all of them.
        """
        values: dict[str, Value] = {}
        problems = []
        for key, value in self._table().items():
            try:
                row = find_parameter(key)
                if row.name in values:
                    raise ConfigError(f"{row.name} stands there twice; delete one of them")
                values[row.name] = row.check(value)
            except ConfigError as error:
                problems.append(Problem(self._file, self._line_of(key), PARAMETERS, str(error)))
        if problems:
            raise ProblemsError(problems)
        return values

    def names(self) -> list[str]:
        """The keys below [parameters] as they are written, right or wrong. Raises ConfigError."""
        return list(self._table())

    def value_of(self, name: str) -> object:
        """What stands there for `name`, right or wrong; None: nothing. Raises ConfigError."""
        keys = self._keys_of(find_parameter(name).name)
        return self._table()[keys[0]] if keys else None

    def set_parameter(self, name: str, value: Value) -> None:
        """Keeps the spelling and the comment of a line that is there already.

        Raises:
            ConfigError: an unknown name, a bad value, or the name stands there twice.
        """
        row = find_parameter(name)
        row.check(value)
        keys = self._keys_of(row.name)
        if len(keys) > 1:
            raise ConfigError(
                f"{self._file}: {row.name} stands there twice, as {' and '.join(keys)}; "
                "delete one of them"
            )
        key = keys[0] if keys else row.name
        wanted = self.data()
        wanted.setdefault(PARAMETERS, {})[key] = value

        def change(toml: tomlkit.TOMLDocument) -> None:
            put(toml[PARAMETERS], key, value)

        if PARAMETERS in self._data:
            self._edit(wanted, in_table(PARAMETERS, change), in_whole(change))
        else:
            lines = f"[{PARAMETERS}]\n{key} = {tomlkit.item(value).as_string()}\n"
            self._edit(wanted, appending(lines))

    def delete_parameter(self, name: str) -> bool:
        """Its line with the comment on it; False if there is none. Raises ConfigError."""
        keys = self._keys_of(find_parameter(name).name)
        for key in keys:
            wanted = self.data()
            del wanted[PARAMETERS][key]

            def drop(toml: tomlkit.TOMLDocument, key: str = key) -> None:
                del toml[PARAMETERS][key]

            self._edit(wanted, in_table(PARAMETERS, drop), in_whole(drop))
        return bool(keys)

    def _table(self) -> dict[str, Any]:
        table = self._data.get(PARAMETERS, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{self._file}: {PARAMETERS}: must be a table, [{PARAMETERS}]")
        return table

    def _keys_of(self, name: str) -> list[str]:
        return [key for key in self._table() if key.lower() == name.lower()]

    def _line_of(self, key: str) -> int:
        """Where `key` is set, 0 if that is not plain to see."""
        pattern = re.compile(rf"\s*(?:parameters\s*\.\s*)?[\"']?{re.escape(key)}[\"']?\s*=")
        numbered = enumerate(split_lines(self._text), 1)
        found = [number for number, line in numbered if pattern.match(line)]
        return found[0] if len(found) == 1 else 0

    # The certificate bindings.

    def bindings(self) -> list[dict[str, Any]]:
        """The ``[[binding]]`` tables as they are. Raises ConfigError: something else is there."""
        bindings = self._data.get(BINDING, [])
        if not isinstance(bindings, list) or not all(isinstance(each, dict) for each in bindings):
            raise ConfigError(f"{self._file}: {BINDING}: must be tables, [[{BINDING}]]")
        return copy.deepcopy(bindings)

    def add_binding(self, binding: Mapping[str, Any]) -> None:
        """As the last one. Raises ConfigError."""
        wanted = {**self._data, BINDING: [*self.bindings(), dict(binding)]}
        table = tomlkit.table()
        table.update(binding)

        def append(toml: tomlkit.TOMLDocument) -> None:
            inline = tomlkit.inline_table()
            inline.update(binding)
            toml[BINDING].append(inline)

        lines = f"[[{BINDING}]]\n{table.as_string()}"
        self._edit(wanted, appending(lines), in_whole(append))

    def rebind(self, which: Callable[[dict[str, Any]], bool], certhash: str) -> None:
        """Those for which `which` is true have `certhash` in place of another or of files.

        Comments stay. Raises ConfigError.
        """
        chosen = [index for index, binding in enumerate(self.bindings()) if which(binding)]
        for index in chosen:
            wanted = self.data()
            _set_certhash(wanted[BINDING][index], certhash)

            def change_it(toml: tomlkit.TOMLDocument) -> None:
                _set_certhash(toml[BINDING][0], certhash)

            def change_all(toml: tomlkit.TOMLDocument, index: int = index) -> None:
                _set_certhash(toml[BINDING][index], certhash)

            self._edit(wanted, in_table(BINDING, change_it, index), in_whole(change_all))

    def remove_binding(self, which: Callable[[dict[str, Any]], bool]) -> int:
        """Those for which `which` is true; how many they were. Raises ConfigError.

        Comments inside go with it; those between it and the next table stay.
        """
        chosen = [index for index, binding in enumerate(self.bindings()) if which(binding)]
        for index in reversed(chosen):
            wanted = self.data()
            del wanted[BINDING][index]

            def remove(toml: tomlkit.TOMLDocument, index: int = index) -> None:
                del toml[BINDING][index]
                if not toml[BINDING]:
                    del toml[BINDING]  # tomlkit would write `binding = []`

            self._edit(wanted, without_binding(index), in_whole(remove))
        return len(chosen)

    def _edit(self, wanted: dict[str, Any], *ways: Edit) -> None:
        """The first of `ways` that leads to a text that means `wanted`."""
        for way in ways:
            try:
                text = way(self._text)
            except (
                TOMLKitError,
                RecursionError,
                ValueError,
                AttributeError,
                TypeError,
                LookupError,
            ):
                continue  # tomlkit does not know what tomllib does, or the lines were not a table
            if text is None:
                continue
            if self._crlf:
                text = re.sub(r"(?<!\r)\n", "\r\n", text)
            data = meant(text, wanted)
            if data is not None:
                self._text, self._data = text, data
                return
        raise ConfigError(
            f"{self._file} is written in a way that cannot be changed here without changing "
            "something else; edit it by hand"
        )


def _set_certhash(binding: Any, certhash: str) -> None:
    """Also of tomlkit's tables."""
    put(binding, "certhash", certhash)
    for key in ("certificate", "key"):
        binding.pop(key, None)


# Files.


def read_document(path: Path) -> Document | None:
    """None if there is no such file.

    Raises:
        ConfigError: it cannot be read, is not TOML, or somebody else may change it.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        pass  # `read_utf8` finds words for it
    return Document(read_utf8(path), str(path))


def edit_file(path: Path, state_dir: Path, change: Callable[[Document], None]) -> None:
    """Change the file `path`, or make it. What a symlink leads to is edited, not the link.

    The file is as it was, or as it should be, at any time. Nothing is written if nothing changes,
    or if `change` raises.

    Raises:
        ConfigError: it cannot be read, changed or written, or somebody else may change it.
    """
    with statedir.locked(statedir.ensure_state_dir(state_dir)):
        document = read_document(path)
        target = path.resolve()  # no loop of symlinks: it would not have been read
        if document is None:
            check_trusted_folder(target.parent, f"folder of the {WHAT}")
            document = Document("", str(path))
        before = document.text()
        change(document)
        after = document.text()
        if after != before:
            statedir.replace(target, after.encode())
