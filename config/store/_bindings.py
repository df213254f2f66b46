"""The ``[[binding]]`` tables of kssl.toml: reading them, and changing them with all the rest of
the file, comments and order included, as it was."""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
import stat
import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array

from config import statedir
from config.errors import ConfigError, reason
from config.store.place import Place, place_of

TABLE = "binding"
_MAX_FILE = 1 << 20  # bytes; the bound is for a wrong file
_NEW_MODE = 0o600


def read_bindings(path: Path) -> dict[Place, str]:
    """Place → thumbprint in lower case, "" where the table names files. No file: no bindings.

    Raises:
        ConfigError: the file cannot be read, or a binding in it is none.
    """
    return _bindings_of(parse(read_text(path), path), path)


def read_text(path: Path) -> str:
    """The file's text, "" if it does not exist. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
        if len(data) > _MAX_FILE:
            raise ConfigError(f"{path} is larger than {_MAX_FILE} bytes; not a kssl.toml")
        return data.decode("utf-8")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {reason(error)}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8; save it as UTF-8") from None


def parse(text: str, path: Path) -> dict[str, Any]:
    """Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        # The message has the line: "… (at line 3, column 5)".
        why = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise ConfigError(f"{path}: not TOML: {why}") from None


def _bindings_of(content: Mapping[str, Any], path: Path) -> dict[Place, str]:
    tables = content.get(TABLE, [])
    if not isinstance(tables, list):
        raise ConfigError(f"{path}: {TABLE}: must be [[{TABLE}]] tables")
    found: dict[Place, str] = {}
    for number, table in enumerate(tables, 1):
        where = f"{path}: {TABLE}[{number}]"
        try:
            place = place_of(table) if isinstance(table, dict) else None
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
    with statedir.locked(state_dir):
        path = Path(os.path.realpath(path))  # of a link, the file it leads to is replaced
        text = read_text(path)
        before = parse(text, path)
        wanted = {
            place: thumbprint
            for place, thumbprint in (_bindings_of(before, path) | dict(add)).items()
            if place not in remove
        }
        if wanted == _bindings_of(before, path):
            return
        changed = _change(text, path, add, remove)
        after = tomllib.loads(changed)
        rest = [
            {key: value for key, value in each.items() if key != TABLE} for each in (before, after)
        ]
        if rest[0] != rest[1] or _bindings_of(after, path) != wanted:
            raise ConfigError(
                f"{path} is written in a way that cannot be changed without damage; "
                f"gather its [[{TABLE}]] tables at its end and try again"
            )
        _replace(path, changed.encode("utf-8"))


def _change(text: str, path: Path, add: Mapping[Place, str], remove: Collection[Place]) -> str:
    if text and not text.endswith("\n"):
        text += "\n"  # a table is appended to the last line otherwise
    try:
        document = tomlkit.parse(text)
        tables: Any = document.get(TABLE)
        if not isinstance(tables, AoT | Array):
            tables = tomlkit.aot()
        else:
            for index in reversed(range(len(tables))):
                place = place_of(tables[index])
                if place in remove:
                    del tables[index]
                elif place is not None and place in add:
                    tables[index]["certhash"] = add[place]
                    for name in ("certificate", "key"):
                        tables[index].pop(name, None)
        present = {place_of(table) for table in tables}
        for place in add:
            if place not in present and place not in remove:
                inline = isinstance(tables, Array)
                table: Any = tomlkit.inline_table() if inline else tomlkit.table()
                table.update({place.kind: place.netloc, "certhash": add[place]})
                if isinstance(tables, AoT) and TABLE in document:
                    table.add(tomlkit.nl())  # a new one at the end of the file gets it anyway
                tables.append(table)
        if TABLE in document and len(tables) == 0:
            del document[TABLE]
        elif TABLE not in document and len(tables):
            document[TABLE] = tables
        result = tomlkit.dumps(document)
        tomllib.loads(result)
    except (TOMLKitError, tomllib.TOMLDecodeError, LookupError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{path} cannot be edited ({type(error).__name__}); change its [[{TABLE}]] by hand"
        ) from None
    return result


def _check_ours(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} is not a regular file; name another with --config")
    if found.st_uid not in (os.geteuid(), 0):
        raise ConfigError(
            f"{path} belongs to another user (uid {found.st_uid}), who could change it; "
            f"run: chown {os.geteuid()} {shlex.quote(str(path))}"
        )
    if found.st_mode & statedir.WRITABLE_BY_OTHERS:
        raise ConfigError(
            f"others may write to {path} (mode {stat.S_IMODE(found.st_mode):04o}); "
            f"run: chmod go-w {shlex.quote(str(path))}"
        )


def _replace(path: Path, data: bytes) -> None:
    """Atomically, keeping mode and owner."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        mode, owner = _NEW_MODE, (-1, -1)
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            _check_ours(path, found)
            mode, owner = stat.S_IMODE(found.st_mode), (found.st_uid, found.st_gid)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, _NEW_MODE)
        try:
            with open(descriptor, "wb") as file:
                os.fchown(file.fileno(), *owner)
                os.fchmod(file.fileno(), mode)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        statedir.sync_folder(path.parent)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {reason(error)}") from None
