"""Files with certificates and keys, read once and whole; and the PEM blocks in them (RFC 7468)."""

from __future__ import annotations

import os
import re
import shlex
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from config.errors import ConfigError
from config.trusted import check_trusted, unreadable

# Bytes. A chain of ten certificates takes about 20 KiB; the bound is for a wrong file.
MAX_FILE = 1 << 20
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH | _WRITABLE_BY_OTHERS

# RFC 7468: one textual encoding, from its BEGIN line to the END line of the same label.
_BLOCK = re.compile(
    rb"^-----BEGIN (?P<label>[A-Z0-9 ]+)-----[ \t\r]*$.*?^-----END (?P=label)-----",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """What was in a file. `repr` does not show it: it may be a key. `mode`: permission bits."""

    path: Path
    mode: int
    data: bytes = field(repr=False)

    def notes_on_mode(self) -> list[str]:
        """A line if others may use the private key in this file."""
        if not self.mode & _READABLE_BY_OTHERS:
            return []
        return [
            f"{self.path}: other users may read this private key (mode {self.mode:04o}); "
            f"run: chmod 600 {shlex.quote(str(self.path))}"
        ]


class Block(NamedTuple):
    label: str
    line: int  # of BEGIN, from 1
    pem: bytes


def read_source(path: Path, what: str, *, guarded: bool = False) -> SourceFile:
    """Read `path`; `what` names it in errors: "certificate" or "key". Raises ConfigError.

    `guarded`: refuse a file that others than its owner and root may change (`config.trusted`), for
    whoever could put a key of their own there would be the server.
    """
    shown = f"{what} file"
    try:
        # Links are followed: certbot's live/ folder is made of them.
        with open(check_trusted(path, shown) if guarded else path, "rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_FILE + 1)
    except IsADirectoryError:
        raise ConfigError(f"{shown} {path} is a folder; name the PEM file in it") from None
    except (OSError, ValueError) as error:
        raise unreadable(path, shown, error) from None
    if len(data) > MAX_FILE:
        raise ConfigError(f"{shown} {path} is larger than {MAX_FILE} bytes; not a PEM file")
    if not data.strip():
        raise ConfigError(f"{shown} {path} is empty")
    return SourceFile(path, mode, data)


def pem_blocks(source: SourceFile, what: str) -> list[Block]:
    """The blocks of `source`, one at least. Raises ConfigError if it is not PEM."""
    data = source.data
    blocks = [
        Block(
            match["label"].decode("ascii"),
            data.count(b"\n", 0, match.start()) + 1,
            match[0] + b"\n",
        )
        for match in _BLOCK.finditer(data)
    ]
    if not blocks:
        hint = _not_pem_hint(source, what)
        raise ConfigError(f"{what} file {source.path} is not PEM; {hint}")
    return blocks


def _not_pem_hint(source: SourceFile, what: str) -> str:
    if b"-----BEGIN " in source.data:
        return "it has a BEGIN line without the END line that belongs to it: copy it again"
    if source.data[:1] == b"\x30":  # a DER SEQUENCE: a certificate, a key, or PKCS #12
        tool = "x509" if what == "certificate" else "pkey"
        return (
            f"it looks like DER; convert it: openssl {tool} -inform DER "
            f"-in {shlex.quote(str(source.path))} -out new.pem "
            "(a .p12 or .pfx: openssl pkcs12 -nodes)"
        )
    return "it has no line that says -----BEGIN …-----"
