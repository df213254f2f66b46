"""The bytes of a .reg file as text, and the version its first line names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kssl.config.errors import Problem, ProblemsError
from kssl.config.reg import VERSION_4, VERSION_5

_BOMS = (
    (b"\xef\xbb\xbf", "utf-8", "UTF-8"),
    (b"\xff\xfe", "utf-16-le", "UTF-16"),
    (b"\xfe\xff", "utf-16-be", "UTF-16"),
)
_WINDOWS_1252 = ("cp1252", "Windows-1252")
# Not str.splitlines: it also breaks at U+2028, U+0085 and form feeds, which a text may hold.
_LINE_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class RegText:
    """`lines` are what follows the first line; `first` is the number of ``lines[0]``."""

    version: int
    lines: Sequence[str]
    first: int


def decode(data: bytes, file: str) -> RegText:
    """UTF-16 and UTF-8 with a byte order mark; without one UTF-8, or Windows-1252 in version 4.

    Raises:
        ProblemsError: not text of these, or not a .reg file. `file` is its name.
    """
    lines = _LINE_BREAK.split(_decoded(data, file))
    for index, line in enumerate(lines):
        title = line.strip()
        if title in (VERSION_5, VERSION_4):
            return RegText(5 if title == VERSION_5 else 4, lines[index + 1 :], index + 2)
        if title:
            break
    text = f'not a registration file: the first line must be "{VERSION_5}" or "{VERSION_4}"'
    raise ProblemsError([Problem(file, 1, "", text)])


def _decoded(data: bytes, file: str) -> str:
    codec, name = "utf-8", "UTF-8"
    for bom, bom_codec, bom_name in _BOMS:
        if data.startswith(bom):
            data, codec, name = data[len(bom) :], bom_codec, bom_name
            break
    else:
        if data.startswith(VERSION_4.encode()) and not _is_utf_8(data):
            codec, name = _WINDOWS_1252
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(codec, "ignore")
        line = 1 + len(_LINE_BREAK.findall(before))
        text = f"byte {error.start} is not {name}; export it again, or save it as UTF-8"
        raise ProblemsError([Problem(file, line, "", text)]) from None


def _is_utf_8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
