"""PKCS #12 with ciphers that this OpenSSL lacks: that is said, and how to convert the file."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import sys
from pathlib import Path
from kssl.config.errors import ConfigError
from kssl.config.pemfile import read_source
from kssl.config.store.pkcs12 import pkcs12_credentials
try:
    pkcs12_credentials(read_source(Path(sys.argv[1]), "certificate"), sys.argv[2].encode())
except ConfigError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("last", "passphrase", "says"),
    [
        (6, "secret", "its encryption (RC2) is not supported by this OpenSSL"),
        (5, "secret", "its encryption (RC2) is not supported by this OpenSSL"),
        (1, "secret", "its encryption (RC4) is not supported by this OpenSSL"),
        (3, "secret", "the passphrase does not open it"),  # 3DES needs no provider
    ],
)
def test_without_the_legacy_provider(tmp_path: Path, last: int, passphrase: str, says: str) -> None:
    """In a process that has been told to do without."""
    path = tmp_path / "old.pfx"
    content = bytes.fromhex("020103 060a2a864886f70d010c01") + bytes([last])
    path.write_bytes(b"\x30" + bytes([len(content)]) + content)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), passphrase],
        env={**os.environ, "CRYPTOGRAPHY_OPENSSL_NO_LEGACY": "1"},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"{path}: {says}" in done.stdout
    assert ("openssl pkcs12 -legacy -nodes -in" in done.stdout) is (last != 3)
