"""Certificates for the tests of the store, made once, and a store to put them into."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import trustme
from cryptography import x509

from kssl.config.credentials import Credentials, pem_credentials
from kssl.config.pemfile import SourceFile
from kssl.config.store.folder import thumbprint_of

NOW = datetime.now(UTC).replace(microsecond=0)
ROOT = trustme.CA()
MIDDLE = ROOT.create_child_ca()


class Made:
    """A server certificate below an intermediate."""

    def __init__(self, *names: str, not_after: datetime | None = None) -> None:
        issued = MIDDLE.issue_cert(*names, not_after=not_after)
        self.chain = [each.bytes() for each in issued.cert_chain_pems]
        self.key = issued.private_key_pem.bytes()
        self.pem = b"".join(self.chain)
        self.thumbprint = thumbprint_of(x509.load_pem_x509_certificate(self.chain[0]))

    def credentials(self, chain: bytes | None = None) -> Credentials:
        return pem_credentials(
            SourceFile(Path("app.pem"), 0o600, chain or self.pem),
            SourceFile(Path("app.key"), 0o600, self.key),
        )


APP, WEB, OTHER = Made("app.example"), Made("web.example", "*.web.example"), Made("other.example")


def secrets_of(made: Made) -> list[str]:
    """The lines of its private key."""
    return [line for line in made.key.decode().splitlines() if not line.startswith("-----")]
