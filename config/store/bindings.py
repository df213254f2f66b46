"""The ``[[binding]]`` tables of kssl.toml as places and thumbprints."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from kssl.config.document.edit import Document, edit_file, read_document
from kssl.config.document.ways import BINDING
from kssl.config.errors import ConfigError
from kssl.config.store.place import Place, place_of


def read_bindings(path: Path) -> dict[Place, str]:
    """Place → thumbprint in lower case, "" where the table names files. No file: no bindings.

    Raises:
        ConfigError: the file cannot be read, or a binding in it is none.
    """
    document = read_document(path)
    return {} if document is None else _bindings_of(document, path)


def _bindings_of(document: Document, path: Path) -> dict[Place, str]:
    found: dict[Place, str] = {}
    for number, table in enumerate(document.bindings(), 1):
        where = f"{path}: {BINDING}[{number}]"
        try:
            place = place_of(table)
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None
        if place is None:
            raise ConfigError(f"{where}: has neither ipport nor hostnameport; give one, as a text")
        if place in found:
            raise ConfigError(f"{where}: {place} is bound twice; remove one")
        certhash = table.get("certhash", "")
        if not isinstance(certhash, str):
            raise ConfigError(f"{where}: certhash: must be a text of hex digits")
        found[place] = certhash.replace(":", "").replace(" ", "").lower()
    return found


def write_bindings(
    path: Path, state_dir: Path, add: Mapping[Place, str], remove: Collection[Place]
) -> None:
    """Remove the tables of `remove`, and bind each place of `add` to its thumbprint.

    A place that has a table already keeps it, with another certhash. One atomic write, and none
    if nothing changes. Without a file one is made, mode 0600.

    Raises:
        ConfigError: the file cannot be read, changed or written, or is not ours alone to write.
    """

    def change(document: Document) -> None:
        before = _bindings_of(document, path)
        for place, thumbprint in add.items():
            if place not in before:
                document.add_binding({place.kind: place.netloc, "certhash": thumbprint})
            elif before[place] != thumbprint:
                document.rebind(partial(_binds, place), thumbprint)
        document.remove_binding(lambda table: place_of(table) in remove)

    edit_file(path, state_dir, change)


def _binds(place: Place, table: dict[str, Any]) -> bool:
    return place_of(table) == place
