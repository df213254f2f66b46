"""Intermediate CAs that were fetched, on disk: after a restart nobody has to be asked again.

``STATE_DIR/intermediates/<SHA-256>.der``. Only those come here that have led a client's certificate
to a trusted one, so strangers cannot fill the folder. Being here makes no CA trusted: it may stand
between, as if the client had presented it. Two processes may use the folder at a time, while a
service is replaced by its successor.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kssl.config import foreign
from kssl.config.errors import ConfigError
from kssl.config.statedir import ensure_state_dir, read_public, remove, write_private
from kssl.fastpath.logs.messages import limited
from kssl.fastpath.verifier.rules.presented import unusable

log = logging.getLogger("kssl.verifier")

FOLDER = "intermediates"
MAX_FILES = 500
MAX_SIZE = 4 << 20  # bytes of all

_NAME = re.compile(r"([0-9a-f]{64})\.der")
_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.tmp")
# Seconds after which a file that is not finished will never be.
_ABANDONED = 60.0


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    size: int
    changed: float  # seconds since 1970


class Kept:
    """Thread-safe. Nothing here is needed: what goes wrong is told, and nothing is kept."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self._folder: Path | None = None
        self._lock = threading.Lock()
        self.warnings: list[str] = []

    def load(self, now: datetime) -> list[x509.Certificate]:
        """Those that are usable at ``now``; others are deleted. Sets `warnings`."""
        with self._lock:
            self.warnings = []
            self._folder = None
            try:
                ensure_state_dir(self.state_dir)
                self._folder = ensure_state_dir(self.state_dir / FOLDER)
                self._make_room(self._folder)
                return list(self._usable(self._folder, now))
            except (ConfigError, OSError) as error:
                self._folder = None
                self.warnings = [f"fetched intermediate CAs are not kept: {error}"]
                return []

    def keep(self, certificates: Iterable[x509.Certificate]) -> None:
        """They must have led to a trusted one. Never raises."""
        with self._lock:
            if self._folder is None:
                return
            try:
                for certificate in certificates:
                    der = certificate.public_bytes(Encoding.DER)
                    path = self._folder / f"{hashlib.sha256(der).hexdigest()}.der"
                    if len(der) <= MAX_SIZE and not path.exists():
                        write_private(path, der)
                self._make_room(self._folder)
            except (ConfigError, OSError) as error:
                what = "a fetched intermediate CA is not kept"
                log.warning("%s: %s", what, error, extra=limited("fetched certificate"))

    @staticmethod
    def _usable(folder: Path, now: datetime) -> Iterator[x509.Certificate]:
        for path, certificate in kept_in(folder, now):
            if certificate is None:
                remove(path)
            else:
                yield certificate

    def _make_room(self, folder: Path) -> None:
        """The oldest go first."""
        files = sorted(_files(folder), key=lambda file: file.changed)
        size = sum(file.size for file in files)
        over = len(files) - MAX_FILES
        for number, file in enumerate(files):
            if number >= over and size <= MAX_SIZE:
                return
            remove(file.path)
            size -= file.size


def kept_in(folder: Path, now: datetime) -> Iterator[tuple[Path, x509.Certificate | None]]:
    """Each file and what it holds; None: nothing that is of use at ``now``. Raises OSError."""
    for name in sorted(filter(_NAME.fullmatch, os.listdir(folder))):
        certificate = _certificate(folder / name)
        expired = certificate is not None and certificate.not_valid_after_utc < now
        yield folder / name, None if expired else certificate


def _files(folder: Path) -> list[_File]:
    """Ours; what was never finished is deleted."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            unfinished = _UNFINISHED.fullmatch(entry.name)
            if not unfinished and not _NAME.fullmatch(entry.name):
                continue
            with contextlib.suppress(FileNotFoundError):  # the other process was faster
                status = entry.stat(follow_symlinks=False)
                if not unfinished:
                    found.append(_File(folder / entry.name, status.st_size, status.st_mtime))
                elif time.time() - status.st_mtime > _ABANDONED:
                    os.unlink(folder / entry.name)
    return found


def _certificate(path: Path) -> x509.Certificate | None:
    """None: it is not what its name says, or of no use."""
    try:
        der = read_public(path)
    except ConfigError:
        return None
    if der is None or hashlib.sha256(der).hexdigest() != path.stem:
        return None
    try:
        certificate = foreign.certificate(der)
    except foreign.UnreadableError:
        return None
    return None if unusable(certificate) else certificate
