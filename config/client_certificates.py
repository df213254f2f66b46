"""What a site asks of its clients' certificates (sslFlags SslNegotiateCert and SslRequireCert)."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

REJECT = "reject"
"""The policy of all sites with RejectClientCertificates=1: who presents one is refused."""

DEFAULT_DEPTH = 10
"""CAs between a client's certificate and one that is trusted."""
DEFAULT_TIMEOUT = 10_000
"""urlretrievaltimeout, in ms."""


class Failure(enum.StrEnum):
    """What becomes of a client whose certificate is not good, or missing where it is required."""

    PAGE = "page"  # 403 with IIS's substatus, for each request
    ALERT = "alert"  # the connection ends with a fatal alert, before any request
    PASS = "pass"  # noqa: S105 - the app decides, by the headers


class Headers(enum.StrEnum):
    """What the app is told of a client's certificate."""

    RFC9440 = "rfc9440"  # Client-Cert, Client-Cert-Chain, X-Client-Cert-Verdict
    ALL = "all"  # these, and X-Client-Cert-Subject, -Issuer, -San, -Serial, -Fingerprint, -Reason
    OFF = "off"  # nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificates:
    """Everything here decides on the verdict or on what follows from it.

    ca: whom to trust: a PEM file, or a folder. intermediates: CAs that may stand between, beside
        those that clients present and those that kssl keeps: a file or folder.
    revocation: verifyclientcertrevocation. crls: files. freshness: revocationfreshnesstime, seconds
        since a list's thisUpdate; 0: until its nextUpdate. cached_revocation_only:
        verifyrevocationwithcachedclientcertonly: no list is fetched.
    usage_check: usagecheck; False: certificates that are not for clients are taken too.
    retrieval_timeout: urlretrievaltimeout, ms for all that is fetched for one verdict.
    allow, deny: rules (`kssl.fastpath.verifier.rules.rules`).
    """

    required: bool
    ca: Path
    failure: Failure = Failure.PAGE
    headers: Headers = Headers.RFC9440
    intermediates: Path | None = None
    max_depth: int = DEFAULT_DEPTH
    usage_check: bool = True
    revocation: bool = False
    crls: tuple[Path, ...] = ()
    freshness: int = 0
    cached_revocation_only: bool = False
    retrieval_timeout: int = DEFAULT_TIMEOUT
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()

    def to_json(self) -> str:
        """What the verifier is told: sorted, one line."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)

    @classmethod
    def from_json(cls, text: str) -> ClientCertificates:
        """What `to_json` has made."""
        told: dict[str, Any] = json.loads(text)
        between = told["intermediates"]
        told |= {
            "ca": Path(told["ca"]),
            "failure": Failure(told["failure"]),
            "headers": Headers(told["headers"]),
            "intermediates": None if between is None else Path(between),
            "crls": tuple(map(Path, told["crls"])),
            "allow": tuple(told["allow"]),
            "deny": tuple(told["deny"]),
        }
        return cls(**told)

    @property
    def policy(self) -> str:
        """A short name for all this: equal names, equal rules."""
        return _digest(self)


@lru_cache(maxsize=1024)
def _digest(wanted: ClientCertificates) -> str:
    return hashlib.sha256(wanted.to_json().encode()).hexdigest()[:32]
