"""What must come out, written by hand: nothing here is taken from the code under test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

FLAGS = ("ignore", "negotiate", "require")
FAILURES = ("alert", "page", "pass")
VERSIONS = ("1.2", "1.3")

# What a client presents: what is found by a site that negotiates, and by one that requires.
FOUND = {
    "none": ("none", "403.7"),
    "good": ("ok", "ok"),
    "self-signed": ("403.16", "403.16"),
    "other CA": ("403.16", "403.16"),
    "expired": ("403.17", "403.17"),
    "future": ("403.17", "403.17"),
    "wrong usage": ("403.16", "403.16"),
    "no intermediate": ("403.16", "403.16"),
    "revoked": ("403.13", "403.13"),
    "malformed": ("403.16", "403.16"),
    "twice an extension": ("403.16", "403.16"),
    "tower of 10": ("ok", "ok"),
    "tower of 11": ("403.16", "403.16"),
}

# How many CAs stand between a good certificate and the trusted one.
BETWEEN = {"good": 1, "tower of 10": 10}


class Failed(NamedTuple):
    """`title`: of the page. `reason`: of the HTTPERR log. The alerts as OpenSSL words them."""

    title: str
    reason: str
    alert12: str
    alert13: str


FAILED = {
    "403.7": Failed(
        "403.7 Forbidden: client certificate required",
        "Cert_Required", "handshake failure", "certificate required",
    ),
    "403.13": Failed(
        "403.13 Forbidden: client certificate revoked, or its revocation cannot be checked",
        "Cert_Revoked", "certificate revoked", "certificate revoked",
    ),
    "403.16": Failed(
        "403.16 Forbidden: client certificate untrusted or invalid",
        "Cert_Untrusted", "unknown ca", "unknown ca",
    ),
    "403.17": Failed(
        "403.17 Forbidden: client certificate expired or not yet valid",
        "Cert_Expired", "certificate expired", "certificate expired",
    ),
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Case:
    flags: str
    failure: str
    version: str
    presents: str

    @property
    def host(self) -> str:
        return host_of(self.flags, self.failure)

    def __str__(self) -> str:
        return f"{self.flags}/{self.failure}, TLS {self.version}, {self.presents}"


@dataclass(frozen=True)
class Result:
    """Of one request, on a connection of its own.

    answer: the status line, or how the alert is worded. title: of the page, if it is one.
    verdict: X-Client-Cert-Verdict as the app had it; None: the app had none, or no request.
    own, between: whether Client-Cert had the client's certificate; certificates in
        Client-Cert-Chain.
    access: status and cert= of the access log's line. error: status and reason of the HTTPERR
        log's; None: there is none.
    """

    answer: str
    title: str = ""
    verdict: str | None = None
    own: bool = False
    between: int = 0
    access: tuple[str, str] | None = None
    error: tuple[str, str] | None = None


def host_of(flags: str, failure: str) -> str:
    return f"{flags}-{failure}.localhost"


def cases() -> Iterator[Case]:
    for flags in FLAGS:
        for failure in FAILURES:
            for version in VERSIONS:
                for presents in FOUND:
                    yield Case(flags, failure, version, presents)


OK = "HTTP/1.1 200 OK"


def expected(case: Case) -> Result:
    if case.flags == "ignore":
        return Result(OK, access=("200", ""))
    word = FOUND[case.presents][case.flags == "require"]
    own = case.presents != "none"
    if word in ("ok", "none"):
        between = BETWEEN.get(case.presents, 0)
        return Result(OK, verdict=word, own=own, between=between, access=("200", word))
    failed = FAILED[word]
    if case.failure == "pass":
        # What the app is told is what was presented; what the site makes of it is in the log.
        told = word if own else "none"
        return Result(OK, verdict=told, own=own, access=("200", word))
    if case.failure == "page":
        return Result(
            "HTTP/1.1 403 Forbidden", failed.title, access=("403", word),
            error=("403", failed.reason),
        )  # fmt: skip
    alert = failed.alert13 if case.version == "1.3" else failed.alert12
    return Result(f"alert {alert}", error=("-", failed.reason))
