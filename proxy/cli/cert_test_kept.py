"""Intermediate CAs that the service has fetched and kept: read, and nothing else.

The service itself deletes what is of no use any more (`fastpath.verifier.kept`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from config.errors import ConfigError, reason
from config.trusted import check_trusted_folder
from fastpath.clientcert.trust import load_certificates
from fastpath.verifier.kept import FOLDER, MAX_FILES

_WHAT = "fetched intermediate CA"


def read_kept(state_dir: Path, now: datetime) -> tuple[list[x509.Certificate], tuple[str, ...]]:
    """Those that are usable at ``now``, and notes: why there are none, if there might be some."""
    folder = state_dir / FOLDER
    try:
        if not folder.is_dir():
            return [], ()
        check_trusted_folder(state_dir, "the state folder")
        check_trusted_folder(folder, f"folder of {_WHAT}s")
        return [each for each in _certificates(folder) if each.not_valid_after_utc >= now], ()
    except ConfigError as error:
        return [], (_left_out(str(error)),)
    except OSError as error:
        return [], (_left_out(f"{folder} cannot be read: {reason(error)}"),)


def _left_out(why: str) -> str:
    return f"intermediate CAs that the service has kept are left out: {why}"


def _certificates(folder: Path) -> Iterator[x509.Certificate]:
    """What is damaged is left out, as by the service."""
    files = sorted(path for path in folder.iterdir() if path.suffix == ".der")
    for path in files[:MAX_FILES]:
        try:
            (certificate,) = load_certificates(path, _WHAT)
        except (ConfigError, ValueError):
            continue
        if hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest() == path.stem:
            yield certificate
