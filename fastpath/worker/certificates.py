"""The only module that loads private keys: certificate files in, OpenSSL contexts out.

What was loaded is kept by what is in the files, so that a reload costs what has changed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL

from kssl.config.credentials import EXPIRY_NOTICE, pem_credentials
from kssl.config.errors import ConfigError
from kssl.config.pemfile import SourceFile, read_source
from kssl.fastpath.worker.contexts import certificate_context


@dataclass(frozen=True, slots=True, eq=False)
class Loaded:
    """A certificate ready to be served. ``warnings`` are lines for the log."""

    context: SSL.Context
    chain: tuple[x509.Certificate, ...]  # leaf first
    warnings: tuple[str, ...]

    def dates_are_quiet(self, now: datetime) -> bool:
        """Whether there is nothing to warn of; otherwise the warnings change day by day."""
        return all(
            each.not_valid_before_utc <= now < each.not_valid_after_utc - EXPIRY_NOTICE
            for each in self.chain
        )


# Per file: path, permission bits and digest. The first two, because warnings speak of them.
_FileKey = tuple[str, int, bytes]
_Key = tuple[_FileKey, _FileKey | None, str]


class Certificates:
    """Everything that is loaded."""

    def __init__(self) -> None:
        self._loaded: dict[_Key, Loaded] = {}

    def load(self, certificate: Path, key: Path | None, policy: str, now: datetime) -> Loaded:
        """``key`` None: it is in ``certificate``. Raises ConfigError."""
        certificate_file = read_source(certificate, "certificate", guarded=True)
        key_file = read_source(key, "key", guarded=True) if key is not None else None
        known_as = (
            _file_key(certificate_file),
            _file_key(key_file) if key_file is not None else None,
            policy,
        )
        known = self._loaded.get(known_as)
        if known is not None and known.dates_are_quiet(now):
            return known
        credentials = pem_credentials(certificate_file, key_file, now=now)
        try:
            context = certificate_context(credentials, policy) if known is None else known.context
        except ConfigError as error:
            raise ConfigError(f"{certificate}: {error}") from None
        loaded = Loaded(context, tuple(credentials.chain), tuple(credentials.warnings))
        self._loaded[known_as] = loaded
        return loaded

    def keep_only(self, used: Collection[Loaded]) -> None:
        """Forgets everything else; connections that go on with it are not disturbed."""
        kept = {id(loaded) for loaded in used}
        self._loaded = {key: each for key, each in self._loaded.items() if id(each) in kept}


def _file_key(file: SourceFile) -> _FileKey:
    return str(file.path), file.mode, hashlib.sha256(file.data).digest()
