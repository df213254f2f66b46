"""Intermediate CAs that the service has fetched and kept: read, and nothing else.

The service itself deletes what is of no use any more.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509

from kssl.config.errors import ConfigError, reason
from kssl.config.trusted import check_trusted_content
from kssl.fastpath.verifier.kept import FOLDER, kept_in


def read_kept(state_dir: Path, now: datetime) -> tuple[list[x509.Certificate], tuple[str, ...]]:
    """Those that are usable at ``now``, and notes: why there are none, if there might be some."""
    folder = state_dir / FOLDER
    try:
        if not folder.is_dir():
            return [], ()
        check_trusted_content(folder, "folder of fetched intermediate CAs")
        return [each for _, each in kept_in(folder, now) if each is not None], ()
    except ConfigError as error:
        return [], (_left_out(str(error)),)
    except OSError as error:
        return [], (_left_out(f"{folder} cannot be read: {reason(error)}"),)


def _left_out(why: str) -> str:
    return f"intermediate CAs that the service has kept are left out: {why}"
