"""A folder of certificates and keys, named by thumbprint: the store, or what is staged for it."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kssl.config import foreign, statedir
from kssl.config.credentials import Credentials, pem_credentials
from kssl.config.errors import ConfigError
from kssl.config.keykinds import pkcs8_pem
from kssl.config.pemfile import SourceFile

_NAME = re.compile(r"[0-9a-f]{64}")


def thumbprint_of(certificate: x509.Certificate) -> str:
    """SHA-256 of the DER, 64 hex digits in lower case."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def chain_pem(chain: list[x509.Certificate]) -> bytes:
    return b"".join(each.public_bytes(Encoding.PEM) for each in chain)


class Folder:
    """`path` exists and is ours alone to write: `statedir.ensure_state_dir` made it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def certificate_path(self, thumbprint: str) -> Path:
        return self.path / f"{thumbprint}.pem"

    def key_path(self, thumbprint: str) -> Path:
        return self.path / f"{thumbprint}.key"

    def thumbprints(self) -> list[str]:
        """Of all certificates, sorted. A key without a certificate, left by a crash, is none."""
        return sorted(each.stem for each in self.path.glob("*.pem") if _NAME.fullmatch(each.stem))

    def chain(self, thumbprint: str) -> list[x509.Certificate]:
        """Leaf first. Raises ConfigError if it is not there, or not what was put there."""
        path = self.certificate_path(thumbprint)
        data = statedir.read_public(path)
        if data is None:
            raise ConfigError(f"{path} has vanished; add the certificate again")
        try:
            chain = foreign.certificates(data, odd_names=True)
        except foreign.UnreadableError as error:
            raise ConfigError(
                f"{path} was damaged; add the certificate again (one in it {error})"
            ) from None
        if thumbprint_of(chain[0]) != thumbprint:
            raise ConfigError(f"{path} was altered: its certificate is another; add it again")
        return chain

    def verify(self, thumbprint: str, now: datetime) -> None:
        """Raises ConfigError unless certificate and key are as they were put there.

        This loads the key, see `kssl.config.credentials`.
        """
        chain = self.chain(thumbprint)
        path = self.key_path(thumbprint)
        data = statedir.read_private(path)
        if data is None:
            raise ConfigError(f"{path} has vanished; add the certificate and its key again")
        certificates = SourceFile(self.certificate_path(thumbprint), 0, chain_pem(chain))
        leaf = pem_credentials(certificates, SourceFile(path, 0, data), now=now).chain[0]
        if thumbprint_of(leaf) != thumbprint:
            raise ConfigError(f"{path} was altered: it is the key of another certificate")

    def has(self, thumbprint: str) -> bool:
        """Whether certificate and key are there."""
        return self.certificate_path(thumbprint).exists() and self.key_path(thumbprint).exists()

    def write(self, thumbprint: str, credentials: Credentials) -> None:
        key = pkcs8_pem(credentials.chain[0], credentials.key)
        self._write(thumbprint, chain_pem(credentials.chain), key)

    def copy_from(self, other: Folder, thumbprint: str) -> None:
        """Raises ConfigError."""
        certificate = statedir.read_public(other.certificate_path(thumbprint))
        key = statedir.read_private(other.key_path(thumbprint))
        if certificate is None or key is None:
            raise ConfigError(f"{other.certificate_path(thumbprint)} or its key has vanished")
        self._write(thumbprint, certificate, key)

    def _write(self, thumbprint: str, certificate: bytes, key: bytes) -> None:
        # The certificate last: a key alone is nothing, to us and to those that serve.
        statedir.write_private(self.key_path(thumbprint), key)
        statedir.write_public(self.certificate_path(thumbprint), certificate)

    def remove(self, thumbprint: str) -> None:
        """Raises ConfigError. What is not there is fine."""
        statedir.remove(self.certificate_path(thumbprint))
        statedir.remove(self.key_path(thumbprint))

    def sweep(self, keep: set[str] | None = None) -> None:
        """Remove what a crash has left: files half written, and keys without certificate.

        With `keep`, also every pair that is not in it. The folder's lock is held. Raises
        ConfigError.
        """
        pairs = set(self.thumbprints()) if keep is None else keep
        for path in [*self.path.glob("*.pem"), *self.path.glob("*.key")]:
            if _NAME.fullmatch(path.stem) and path.stem not in pairs:
                statedir.remove(path)
        for path in self.path.glob(".*.tmp"):
            statedir.remove(path)
