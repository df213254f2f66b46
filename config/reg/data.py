"""The right side of ``"Name"=…`` for a parameter of ours: dword, text, or hex bytes."""

from __future__ import annotations

import re

from kssl.config.errors import ConfigError
from kssl.config.parameter import Parameter, Value

_DWORD = re.compile(r"dword:\s*([0-9a-f]*)", re.IGNORECASE | re.ASCII)
_HEX = re.compile(r"hex(?:\(([0-9a-f]{1,8})\))?:([0-9a-f,\s]*)", re.IGNORECASE | re.ASCII)
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_DELETE = re.compile("-")
_KINDS = (_DELETE, _TEXT, _DWORD, _HEX)
_COMMENT = re.compile(r"\s*(?:;.*)?", re.DOTALL)

# Types of winnt.h that hex(…) may name.
_SZ, _EXPAND_SZ, _BINARY, _DWORD_LE = 1, 2, 3, 4
_NAMES = {0: "REG_NONE", _SZ: "REG_SZ", _EXPAND_SZ: "REG_EXPAND_SZ", _BINARY: "REG_BINARY",
          _DWORD_LE: "REG_DWORD", 5: "REG_DWORD_BIG_ENDIAN", 7: "REG_MULTI_SZ",
          11: "REG_QWORD"}  # fmt: skip

_SHOWN = 40  # characters of a wrong value that a message repeats


def read_data(text: str, row: Parameter, version: int) -> Value | None:
    """What stands behind the ``=``, continued lines already joined; None for ``-`` (delete).

    Raises:
        ConfigError: broken syntax, another type than `row` has, or out of range.
    """
    text = text.strip()
    if _COMMENT.fullmatch(text):
        raise ConfigError(f"no data; write {_example(row)}, or - to delete it")
    found = next((match for kind in _KINDS if (match := kind.match(text))), None)
    if found is None and text.startswith('"'):
        raise ConfigError(r"the text is not closed; write \" for a quote and \\ for a backslash")
    if found is None:
        raise ConfigError(f"{_shown(text)} is no data; write {_example(row)}, or - to delete it")
    rest = text[found.end() :]
    if not _COMMENT.fullmatch(rest):
        raise ConfigError(f"{_shown(rest)} stands behind the data")
    if found.re is _DELETE:
        return None
    if found.re is _TEXT:
        return _checked(row, _unescape(found[1]))
    if found.re is _DWORD:
        return _checked(row, _dword(found[1]))
    return _checked(row, _from_hex(found, row, version))


def _checked(row: Parameter, value: Value) -> Value:
    """`Parameter.check` speaks of TOML; here a type has other names."""
    if isinstance(value, str) != row.is_text:
        is_, must = ("a text", "a dword") if isinstance(value, str) else ("a dword", "a text")
        raise ConfigError(f"is {is_}, must be {must}; write {_example(row)}")
    if not row.allows(value):
        shown = _shown(value) if isinstance(value, str) else value
        raise ConfigError(f"{shown} is not allowed: must be {row.range_text}")
    return value


def _dword(digits: str) -> int:
    if not 1 <= len(digits) <= 8:
        raise ConfigError(f"a dword has 1 to 8 hexadecimal digits, not {len(digits)}")
    return int(digits, 16)


def _unescape(text: str) -> str:
    for match in re.finditer(r"\\(.)", text, re.DOTALL):
        if match[1] not in '\\"':
            raise ConfigError(rf"{_shown(match[0])} in the text; write \\ for a backslash")
    return re.sub(r"\\(.)", r"\1", text)


def _from_hex(match: re.Match[str], row: Parameter, version: int) -> Value:
    kind = _BINARY if match[1] is None else int(match[1], 16)
    data = _bytes(match[2])
    if kind == _DWORD_LE:
        if len(data) != 4:
            raise ConfigError(f"hex(4) is a dword of 4 bytes, not {len(data)}")
        return int.from_bytes(data, "little")
    if kind in (_SZ, _EXPAND_SZ):
        return _string(data, version)
    name = _NAMES.get(kind, f"of type {kind}")
    raise ConfigError(f"is {name}; write {_example(row)}")


def _bytes(text: str) -> bytes:
    parts = [part.strip() for part in text.split(",")]
    if parts[-1] == "":
        parts.pop()  # nothing at all, or a last comma, as before a comment
    if any(not 1 <= len(part) <= 2 for part in parts):
        raise ConfigError("hex bytes are two digits each, with commas between: 1f,00")
    return bytes(int(part, 16) for part in parts)


def _string(data: bytes, version: int) -> str:
    """With its final NUL, as the registry stores it: UTF-16LE, in version 4 the ANSI code page."""
    try:
        text = data.decode("utf-16-le" if version == 5 else "cp1252")
    except UnicodeDecodeError:
        name = "UTF-16" if version == 5 else "Windows-1252"
        raise ConfigError(f"the hex bytes are not a text in {name}") from None
    return text.rstrip("\0")


def _example(row: Parameter) -> str:
    return '"text"' if row.is_text else "dword:0000000a"


def _shown(text: str) -> str:
    text = text.strip()
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")
