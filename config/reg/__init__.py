"""Registration files (``.reg``), as regedit of Windows reads and writes them.

    .reg bytes ── parse_reg ──► RegFile ── changes(…) ──► {name: value, or None: delete}
    {name: value} ── render_reg ──► .reg bytes

A file holds keys, ``[HKEY_…\\…]``, and below each its values, ``"Name"=data``. Only the values of
the key `KEY` that `kssl.config.table` knows mean something here; whatever else stands in a file is
left alone, with a note. The data is ``dword:0000000a``, ``"text"``, or ``hex(TYPE):`` bytes.

The syntax is the one of Microsoft's "How to add, modify, or delete registry subkeys and values by
using a .reg file", and of what regedit writes. Nothing here reads or writes a file.
"""

from __future__ import annotations

import re

KEY = r"HKEY_LOCAL_MACHINE\SYSTEM\CurrentControlSet\Services\HTTP\Parameters"
"""Where http.sys has its values, in the case in which regedit shows it."""

# CurrentControlSet is a link to one of the numbered ones, which an export of all of SYSTEM holds.
# ASCII: with IGNORECASE, U+212A (Kelvin sign) would otherwise match a k.
_OUR_KEY = re.compile(
    r"(?:HKEY_LOCAL_MACHINE|HKLM)\\SYSTEM\\(?:CurrentControlSet|ControlSet[0-9]{3})"
    r"\\Services\\HTTP\\Parameters",
    re.IGNORECASE | re.ASCII,
)

VERSION_5 = "Windows Registry Editor Version 5.00"
VERSION_4 = "REGEDIT4"
"""First lines. Version 4 (Windows 95 to NT 4) is in the ANSI code page, here Windows-1252."""


def is_our_key(name: str) -> bool:
    """Whether `name`, as it stands in the brackets, is `KEY`, in any case and control set."""
    return _OUR_KEY.fullmatch(name) is not None
