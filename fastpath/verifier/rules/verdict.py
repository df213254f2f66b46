"""What is said about a client's certificate."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509


class Outcome(enum.IntEnum):
    """OK, or the substatus of 403 that IIS answers with."""

    OK = 0
    NONE_PRESENTED = 7
    DENIED = 12  # by a rule of the site
    REVOKED = 13  # or nobody can tell, where it must be known
    UNTRUSTED = 16  # or malformed
    EXPIRED = 17  # or not valid yet


class Source(enum.Enum):
    """Where a certificate of the path comes from."""

    PRESENTED = "presented"
    INTERMEDIATES = "intermediate store"
    FETCHED = "fetched"  # by `kssl.fastpath.verifier.retrieval`
    TRUST = "trust store"


class Kind(enum.Enum):
    """What is wrong with a certificate, for programs; the text beside it is for people."""

    DATES = "dates"
    KEY = "key"
    SIGNATURE = "signature"
    USAGE = "usage"
    CA = "ca"
    NAMES = "names"
    EXTENSION = "extension"
    ISSUER = "issuer"
    DEPTH = "depth"
    REVOCATION = "revocation"
    RULE = "rule"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Fault:
    """`text` follows the subject of the certificate: "has expired on …". `remedy`: what to do."""

    kind: Kind
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One certificate of the path; names as RFC 4514 has them, `serial` in hexadecimal.

    `revocation`: what the revocation lists say of it; empty: not asked.
    """

    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    source: Source
    faults: tuple[Fault, ...] = ()
    revocation: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the client says it is. Worth something only if the outcome is OK.

    subject, issuer: RFC 4514, control characters written as ``\\0A``; empty: an empty name.
    sans: ``dns:…``, ``email:…``, ``uri:…``, ``ip:…``, ``dn:…``, ``upn:…`` or ``other:OID``.
    sha256: of `der`, 64 digits in lower case.
    """

    subject: str
    issuer: str
    serial: str
    sha256: str
    sans: tuple[str, ...]
    der: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is one printable sentence. `steps` begin with the client's certificate.

    chain: what was built up to the trust anchor; empty unless a path was accepted, which revocation
        or a rule may still have stopped.
    identity: None if nothing was presented or it cannot be read.
    notes: what was left out of the search, in words.
    """

    outcome: Outcome
    reason: str
    steps: tuple[Step, ...] = ()
    chain: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    identity: Identity | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK
