"""Files with certificates and keys, read once and whole; and the PEM blocks in them (RFC 7468)."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kssl.config.errors import ConfigError
from kssl.config.trusted import check_trusted, unreadable

# Bytes. A chain of ten certificates takes about 20 KiB; the bound is for a wrong file.
MAX_FILE = 1 << 20
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH | _WRITABLE_BY_OTHERS

# A line of RFC 7468 §3. It is looked for anywhere in a line, as editors and shells join lines.
_MARK = re.compile(rb"-----(?P<kind>BEGIN|END) (?P<label>[A-Z0-9 ]+)-----")
# What a person takes for such a line: other dashes, fewer of them, small letters.
_DASH = rb"(?:-|\xe2\x80[\x90-\x95])"
_LIKE_MARK = re.compile(
    rb"(?:-{4}[ \t]*(?=BEGIN|END)|" + _DASH + rb"[ \t]*(?=(?:BEGIN|END)[ \t_]+"
    rb"[A-Z0-9 _]{0,64}(?:CERTIFICATE|KEY|CRL|PKCS|CMS)))(?P<word>BEGIN|END)",
    re.IGNORECASE,
)
# The beginning of a certificate, key or CRL in Base64, outside of any block.
_BARE = re.compile(rb"^[ \t]*MI[A-Za-z0-9+/]{58,}[ \t]*$", re.MULTILINE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")
_HEADER = re.compile(rb"[A-Za-z][A-Za-z0-9-]*:")  # RFC 1421, of keys that are encrypted
_COLUMNS = 64

# Labels that some reader reads, or that may stand beside what it reads.
_KNOWN = re.compile(
    r"(X509 )?CERTIFICATE|X509 CRL|([A-Z0-9]+ )*(PRIVATE|PUBLIC) KEY|([A-Z0-9.]+ )?PARAMETERS"
    r"|(NEW )?CERTIFICATE REQUEST"
)
_CONVERT = {
    "TRUSTED CERTIFICATE": "convert it: openssl x509 -in {} -out new.pem",
    "PKCS7": "convert it: openssl pkcs7 -print_certs -in {} -out new.pem",
    "CMS": "convert it: openssl pkcs7 -print_certs -in {} -out new.pem",
}

_BOM_8 = b"\xef\xbb\xbf"
_WIDE = b"-\0-\0-\0"  # at an even place with the low byte first, else at an odd one
_BOMS_16 = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


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
        if not self.mode & (_READABLE_BY_OTHERS & ~stat.S_IRGRP):
            # As certbot and Kubernetes leave it for a service that is no root.
            return [
                f"{self.path}: its group may read this private key (mode {self.mode:04o}), "
                "which is fine if nobody is in it who must not be this server"
            ]
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

    `guarded`: refuse a file that others than its owner and root may change (`kssl.config.trusted`),
    for whoever could put a key of their own there would be the server.
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
    """Return the blocks of `source`, one at least, each as RFC 7468 has it.

    A byte order mark, UTF-16, any line ends, indentation, lines that were joined and text around
    the blocks do no harm. Whatever else looks like PEM is an error, because a certificate that is
    left out in silence is trusted, or sent, by nobody.

    Raises:
        ConfigError: it is not PEM, or something in it looks like PEM and cannot be read.
    """
    text = _text(source, what)
    marks = list(_MARK.finditer(text))
    exact = {mark.start("kind") for mark in marks}

    def refused(at: int, why: str) -> ConfigError:
        return ConfigError(f"{what} file {source.path}, line {_line(text, at)}: {why}")

    for like in _LIKE_MARK.finditer(text):
        if like.start("word") not in exact:
            raise refused(
                like.start(),
                "this looks like a BEGIN or END line of PEM, but is none: it needs five hyphens "
                "on both sides, and capitals; copy it again",
            )
    blocks: list[Block] = []
    begin: re.Match[bytes] | None = None
    outside = 0  # where the text behind the last block begins
    for mark in marks:
        label = mark["label"].decode("ascii")
        if mark["kind"] == b"BEGIN" and begin is None:
            if bare := _BARE.search(text, outside, mark.start()):
                raise refused(bare.start(), _NO_BEGIN)
            if not _KNOWN.fullmatch(label):
                hint = _CONVERT.get(label, "remove it").format(shlex.quote(str(source.path)))
                raise refused(mark.start(), f"a block {label} is not read here; {hint}")
            begin = mark
        elif begin is None:
            raise refused(mark.start(), "an END line without the BEGIN line that belongs to it")
        elif mark["kind"] == b"BEGIN" or mark["label"] != begin["label"]:
            raise refused(begin.start(), _NO_END)
        else:
            blocks.append(_block(text, begin, mark, refused))
            begin, outside = None, mark.end()
    if begin is not None:
        raise refused(begin.start(), _NO_END)
    if not blocks:
        hint = _not_pem_hint(source, what)
        raise ConfigError(f"{what} file {source.path} is not PEM; {hint}")
    if bare := _BARE.search(text, outside):
        raise refused(bare.start(), _NO_BEGIN)
    return blocks


_NO_END = "it has a BEGIN line without the END line that belongs to it: copy it again"
_NO_BEGIN = "Base64 without the BEGIN line that belongs to it: copy it again"


def _block(
    text: bytes,
    begin: re.Match[bytes],
    end: re.Match[bytes],
    refused: Callable[[int, str], ConfigError],
) -> Block:
    """Return what is between two lines, with lines of the usual length. Raises ConfigError."""
    lines = [line.strip() for line in text[begin.end() : end.start()].split(b"\n")]
    headers: list[bytes] = []
    first = next((number for number, line in enumerate(lines) if line), 0)
    if _HEADER.match(lines[first]):
        blank = next((n for n in range(first, len(lines)) if not lines[n]), len(lines))
        headers = [*lines[first:blank], b""]
        first = blank
    at = begin.end()
    for number, line in enumerate(lines):
        if number >= first and not _BASE64.fullmatch(b"".join(line.split())):
            raise refused(at, "this line is not Base64; copy the file again")
        at = text.find(b"\n", at) + 1
    body = b"".join(b"".join(line.split()) for line in lines[first:])
    wrapped = [body[start : start + _COLUMNS] for start in range(0, len(body), _COLUMNS)]
    pem = b"\n".join([begin[0], *headers, *wrapped, end[0], b""])
    return Block(begin["label"].decode("ascii"), _line(text, begin.start()), pem)


def _line(text: bytes, at: int) -> int:
    return text.count(b"\n", 0, at) + 1


def _text(source: SourceFile, what: str) -> bytes:
    """Return the text with ASCII as its basis and lines ended by LF. Raises ConfigError."""
    data = source.data
    coding = _BOMS_16.get(data[:2])
    if coding is None and (at := data.find(_WIDE)) >= 0:
        coding = "utf-16-be" if at % 2 else "utf-16-le"
    if coding is not None:
        try:
            # A file of two encodings: one part was appended to the other.
            if b"-----" in data:
                raise ValueError
            data = data.decode(coding).encode()
        except ValueError:
            raise ConfigError(
                f"{what} file {source.path} is in UTF-16, but not all of it; save it as ASCII"
            ) from None
    return data.replace(_BOM_8, b"").replace(b"\r\n", b"\n").replace(b"\r", b"\n")


# PFX = SEQUENCE { version INTEGER (3), … } (RFC 7292 section 4)
_PKCS12 = re.compile(rb"\x30(?:\x80|[\x81-\x84].{1,4}?)\x02\x01\x03", re.DOTALL).match


def _not_pem_hint(source: SourceFile, what: str) -> str:
    if _PKCS12(source.data):
        return (
            "it looks like PKCS #12 (.pfx, .p12); store it: kssl cert add "
            f"{shlex.quote(str(source.path))}, or convert it: openssl pkcs12 "
            f"-in {shlex.quote(str(source.path))} -out new.pem -nodes (an old one: with -legacy)"
        )
    if source.data[:1] == b"\x30":  # a DER SEQUENCE: a certificate or a key
        tool = "x509" if what == "certificate" else "pkey"
        return (
            f"it looks like DER; convert it: openssl {tool} -inform DER "
            f"-in {shlex.quote(str(source.path))} -out new.pem"
        )
    return "it has no line that says -----BEGIN …-----"
