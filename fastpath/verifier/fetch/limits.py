"""What is fetched, and how much time and room it may take."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Kind(enum.Enum):
    """What a URL should lead to; the value is the word for it in messages."""

    CERTIFICATE = "certificate"  # authorityInfoAccess, caIssuers (RFC 5280 §4.2.2.1)
    CRL = "CRL"  # cRLDistributionPoints (RFC 5280 §4.2.1.13)

    @property
    def accept(self) -> str:
        """The Accept field: what RFC 5280 and RFC 2585 §4 name, and whatever else is sent."""
        if self is Kind.CRL:
            return "application/pkix-crl, */*;q=0.5"
        return "application/pkix-cert, application/pkcs7-mime, */*;q=0.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one fetch. Raises ValueError for what would switch a limit off."""

    total: float = 5.0  # seconds for all of it: lookup, connections, redirects, body
    connect: float = 2.0  # seconds for one address
    certificate_bytes: int = 64 << 10
    crl_bytes: int = 10 << 20
    redirects: int = 2

    def __post_init__(self) -> None:
        if not 0 < self.total <= 300 or not 0 < self.connect <= 300:
            raise ValueError("time limits of a fetch are above 0 and at most 300 seconds")
        if not 0 < self.certificate_bytes <= 1 << 20 or not 0 < self.crl_bytes <= 256 << 20:
            raise ValueError("at most 1 MiB for a certificate and 256 MiB for a CRL, and above 0")
        if not 0 <= self.redirects <= 10:
            raise ValueError("0 to 10 redirects")

    def size(self, kind: Kind) -> int:
        """Bytes of a body."""
        return self.crl_bytes if kind is Kind.CRL else self.certificate_bytes
