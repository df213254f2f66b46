"""PKCS #12 (RFC 7292), the .pfx and .p12 files that Windows exports: a chain and its key."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4, RC2, TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.serialization import pkcs12

from kssl.config import foreign
from kssl.config.credentials import (
    Credentials,
    PassphraseNeededError,
    checked_credentials,
    supported_key,
)
from kssl.config.errors import ConfigError
from kssl.config.pemfile import SourceFile

# 1.2.840.113549.1.12.1, pkcs-12PbeIds (RFC 7292, C), in DER; the last byte follows.
_PBE = bytes.fromhex("060a2a864886f70d010c01")
# What the last byte stands for. OpenSSL has all but 3DES in a provider that may not be there.
_PBES = (
    ("RC4", (1, 2), lambda: Cipher(ARC4(bytes(16)), None)),
    ("3DES", (3, 4), lambda: Cipher(TripleDES(bytes(range(24))), CBC(bytes(8)))),
    ("RC2", (5, 6), lambda: Cipher(RC2(bytes(16)), CBC(bytes(8)))),
)


def is_pkcs12(data: bytes) -> bool:
    """Whether it is a SEQUENCE that begins with INTEGER 3, the version of a PFX (RFC 7292, 4)."""
    if len(data) < 2 or data[0] != 0x30:
        return False
    # X.690, 8.1.3: one byte of length, or how many bytes of length follow.
    header = 2 + (data[1] & 0x7F if data[1] > 0x80 else 0)
    return data[header : header + 3] == b"\x02\x01\x03"


def pkcs12_credentials(
    source: SourceFile, passphrase: bytes | None, now: datetime | None = None
) -> Credentials:
    """As `kssl.config.credentials.pem_credentials`; for the same processes only.

    Raises:
        PassphraseNeededError: none is given, and neither none nor an empty one opens it.
        ConfigError: not PKCS #12, damaged, another passphrase, no key, no certificate.
    """
    path = source.path
    # Without a passphrase there are two ways: no encryption, and encryption with an empty one.
    for attempt in [passphrase] if passphrase else [None, b""]:
        try:
            with foreign.reading(keep=(UnsupportedAlgorithm,)):
                found = pkcs12.load_pkcs12(source.data, attempt)
            break
        except UnsupportedAlgorithm:
            raise _unsupported(path, "its encryption or its kind of key") from None
        except foreign.UnreadableError:
            continue  # the library does not tell a wrong passphrase from damage
    else:
        if not is_pkcs12(source.data):
            raise ConfigError(f"{path} is not PKCS #12 (.pfx, .p12); leave out --pfx for PEM")
        # The library says the same of these as of a wrong passphrase.
        if missing := _missing(source.data):
            raise _unsupported(path, f"its encryption ({', '.join(missing)})")
        if passphrase:
            raise ConfigError(f"{path}: the passphrase does not open it (or it is damaged)")
        raise PassphraseNeededError(
            f"{path} is encrypted and no passphrase is given (or it is damaged); give it"
        )
    if found.key is None:
        raise ConfigError(f"{path} holds no private key; export it together with its key")
    key = supported_key(found.key, str(path))
    own = [] if found.cert is None else [found.cert]
    certificates = [each.certificate for each in [*own, *found.additional_certs]]
    if not certificates:
        raise ConfigError(f"{path} holds no certificate; export it together with its chain")
    try:
        for certificate in certificates:
            foreign.checked(certificate, odd_names=True)
    except foreign.UnreadableError as error:
        raise ConfigError(f"{path}: a certificate in it {error}") from None
    return checked_credentials(certificates, key, path, path, now, source.notes_on_mode())


def _missing(data: bytes) -> list[str]:
    """Return the old ciphers that a PKCS #12 file names and that OpenSSL lacks here."""
    return [
        name
        for name, last, cipher in _PBES
        if any(_PBE + bytes([each]) in data for each in last) and not _works(cipher)
    ]


def _works(cipher: Callable[[], Cipher[CBC | None]]) -> bool:
    try:
        cipher().encryptor()
    except UnsupportedAlgorithm:
        return False
    return True


def _unsupported(path: Path, what: str) -> ConfigError:
    quoted = shlex.quote(str(path))
    return ConfigError(
        f"{path}: {what} is not supported by this OpenSSL; export it anew with AES-256 and "
        f"SHA-256, or convert it: openssl pkcs12 -legacy -nodes -in {quoted} -out new.pem && "
        "openssl pkcs12 -export -in new.pem -out new.pfx (new.pem holds the key: keep it private)"
    )
