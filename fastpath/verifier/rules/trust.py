"""The files: whom a site trusts, what may stand between, what is revoked.

Whoever can change them decides who gets in, so they must be in good hands (`kssl.config.trusted`).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509

from kssl.config import foreign
from kssl.config.errors import ConfigError, reason
from kssl.config.pemfile import SourceFile, pem_blocks
from kssl.config.trusted import check_trusted_content, read_trusted
from kssl.fastpath.verifier.rules.crl import MAX_CRL, Crl, CrlSet

# The CAs of an operating system are some 150 in 220 KB.
MAX_CERTIFICATES = 2000
MAX_FILES = 2000
MAX_FILE = 4 << 20  # bytes

_SUFFIXES = (".pem", ".crt", ".cer", ".der")
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]{1,3}")  # as `openssl rehash` leaves them
CERTIFICATE_LABELS = ("CERTIFICATE", "X509 CERTIFICATE")
_SEQUENCE = b"\x30"  # how DER begins


def load_certificates(path: Path, what: str) -> tuple[x509.Certificate, ...]:
    """Of a PEM or DER file, or of the certificate files in a folder; each once.

    `what` names it in messages: "client_ca". In a folder, files by the names of *.pem, *.crt,
    *.cer, *.der and the links of `openssl rehash` are read, others and folders are not.

    Raises:
        ConfigError: a file cannot be read, is damaged, holds something else, or others may change
            it; there is no certificate at all, or too many.
    """
    found: dict[x509.Certificate, None] = {}
    for file in _files(path, what):
        for certificate in _certificates(file, what):
            found[certificate] = None
            if len(found) > MAX_CERTIFICATES:
                raise ConfigError(f"{what} {path} holds more than {MAX_CERTIFICATES} certificates")
    return tuple(found)


def load_crls(paths: Sequence[Path], what: str = "CRL") -> CrlSet:
    """Of PEM or DER files; a PEM file may hold several. Raises ConfigError as above."""
    lists: list[Crl] = []
    for path in paths:
        data = read_trusted(path, f"{what} file", MAX_CRL)
        lists += [Crl.parse(der, where) for where, der in blocks(path, data, what, ("X509 CRL",))]
    return CrlSet.of(lists)


def _files(path: Path, what: str) -> list[Path]:
    if not path.is_dir():
        return [path]
    check_trusted_content(path, f"folder {what}")
    try:
        names = sorted(each.name for each in path.iterdir())
    except OSError as error:
        raise ConfigError(f"folder {what}, {path}, cannot be read: {reason(error)}") from None
    files = [
        path / name
        for name in names
        if not name.startswith(".")
        and (name.lower().endswith(_SUFFIXES) or _HASHED.fullmatch(name))
        and not (path / name).is_dir()
    ]
    if not files:
        raise ConfigError(
            f"folder {what}, {path}, holds no certificate file ({', '.join(_SUFFIXES)})"
        )
    if len(files) > MAX_FILES:
        raise ConfigError(f"folder {what}, {path}, holds more than {MAX_FILES} files")
    return files


def _certificates(path: Path, what: str) -> Iterator[x509.Certificate]:
    data = read_trusted(path, f"{what} file", MAX_FILE)
    for where, der in blocks(path, data, what, CERTIFICATE_LABELS):
        try:
            yield foreign.certificate(der)
        except foreign.UnreadableError as error:
            raise ConfigError(f"{where}: this certificate {error}") from None


def blocks(
    path: Path, data: bytes, what: str, labels: tuple[str, ...], *, keys: bool = False
) -> Iterator[tuple[str, bytes]]:
    """(where, DER) of each block with one of `labels`, one at least. Raises ConfigError.

    `keys`: private keys may stand beside, and are not read.
    """
    if data[:1] == _SEQUENCE and data[1:2] >= b"\x80":  # no text, and longer than 127 bytes
        yield str(path), data
        return
    if not data.strip():
        raise ConfigError(f"{what} file {path} is empty")
    found = pem_blocks(SourceFile(path, 0, data), what)
    for block in found:
        if block.label.endswith("PRIVATE KEY") and not keys:
            raise ConfigError(
                f"{path}, line {block.line}: {what} file holds a private key, which has no "
                "business here; remove it"
            )
    if not any(block.label in labels for block in found):
        raise ConfigError(f"{what} file {path} holds no block -----BEGIN {labels[0]}-----")
    for block in found:
        where = f"{path}, line {block.line}"
        if block.label in labels:
            yield where, _decoded(block.pem, where)
        elif not keys:
            # A CRL among CAs would be taken for heeded, a CA among CRLs for trusted.
            raise ConfigError(
                f"{where}: {what} file holds {block.label} too, which is not read here; remove it"
            )


def _decoded(pem: bytes, where: str) -> bytes:
    """What is between the BEGIN and END lines."""
    body = b"".join(pem.split(b"\n")[1:]).partition(b"-----END")[0]
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error:
        raise ConfigError(f"{where}: this block is not Base64; copy it again") from None
