"""PKCS #12 (RFC 7292), the .pfx and .p12 files that Windows exports: a chain and its key."""

from __future__ import annotations

from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import pkcs12

from config import foreign
from config.credentials import (
    Credentials,
    PassphraseNeededError,
    checked_credentials,
    supported_key,
)
from config.errors import ConfigError
from config.pemfile import SourceFile


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
    """As `config.credentials.pem_credentials`; for the same processes only.

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
            raise ConfigError(
                f"{path}: its encryption or its kind of key is not supported; export it anew with "
                "AES-256 and SHA-256, or convert it: openssl pkcs12 -legacy -nodes"
            ) from None
        except foreign.UnreadableError:
            continue  # the library does not tell a wrong passphrase from damage
    else:
        if not is_pkcs12(source.data):
            raise ConfigError(f"{path} is not PKCS #12 (.pfx, .p12); leave out --pfx for PEM")
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
