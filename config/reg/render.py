"""Writing .reg files."""

from __future__ import annotations

import codecs
import enum
from collections.abc import Mapping

from kssl.config.errors import ConfigError
from kssl.config.parameter import Value
from kssl.config.parameters import find_parameter
from kssl.config.reg import KEY, VERSION_4, VERSION_5
from kssl.config.table import PARAMETERS

_LINE_BREAK = "\r\n"


class Encoding(enum.StrEnum):
    """UTF16 is what regedit writes. UTF8 has no byte order mark; Windows reads it while it holds
    ASCII only. REGEDIT4 is Windows-1252, for Windows 95 to NT 4 and for other programs."""

    UTF16 = "utf-16"
    UTF8 = "utf-8"
    REGEDIT4 = "regedit4"


def render_reg(values: Mapping[str, Value | None], encoding: Encoding = Encoding.UTF16) -> bytes:
    """`values` by name, in the order of the table; None: ``"Name"=-``, which deletes it.

    Raises:
        ConfigError: an unknown name or a bad value, or a text that Windows-1252 cannot hold.
    """
    checked: dict[str, Value | None] = {}
    for name, value in values.items():
        row = find_parameter(name)
        checked[row.name] = None if value is None else row.check(value)
    version_4 = encoding is Encoding.REGEDIT4
    lines = [VERSION_4 if version_4 else VERSION_5, "", f"[{KEY}]"]
    for row in PARAMETERS:
        if row.name in checked:
            lines.append(f'"{row.name}"={_data(row.name, checked[row.name], version_4)}')
    text = "".join(line + _LINE_BREAK for line in [*lines, ""])
    if version_4:
        return text.encode("cp1252")
    if encoding is Encoding.UTF8:
        return text.encode()
    return codecs.BOM_UTF16_LE + text.encode("utf-16-le")


def _data(name: str, value: Value | None, version_4: bool) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"dword:{value:08x}"
    if version_4 and not value.isascii():
        # In quotes, "Ã¼" of Windows-1252 could not be told from "ü" of UTF-8.
        return "hex(1):" + ",".join(f"{byte:02x}" for byte in _ansi(name, value) + b"\0")
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _ansi(name: str, value: str) -> bytes:
    try:
        return value.encode("cp1252")
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{name}: {value[error.start]!r} is not in Windows-1252, so REGEDIT4 cannot hold it; "
            f"export with --encoding {Encoding.UTF16}"
        ) from None
