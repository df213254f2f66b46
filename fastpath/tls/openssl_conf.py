"""OpenSSL's configuration files for our processes, instead of the system's."""

from __future__ import annotations

from pathlib import Path

OPENSSL_CONF = Path(__file__).with_name("openssl.cnf")

_MOZILLA = Path(__file__).with_name("openssl-mozilla.cnf")


def of_preset(preset: str) -> Path:
    """Return the file for a crypto worker with that TlsPreset."""
    return _MOZILLA if preset else OPENSSL_CONF
