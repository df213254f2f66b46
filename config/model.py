"""What one service is told to do, checked and complete: the result of reading kssl.toml.

    Configuration ─┬─ parameters, and where each value comes from
                   ├─ sites: host names, upstreams, flags, limits; where they listen
                   ├─ certificate bindings: which certificate for which address or name
                   └─ logs

Only file *names* of certificates and keys are here; the crypto worker reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kssl.config.client_certificates import ClientCertificates
from kssl.config.parameter import Profile
from kssl.config.parameters import Parameters
from kssl.config.target import Listen, Target

SSL_FLAGS = ("Ssl", "Ssl128", "SslNegotiateCert", "SslRequireCert")
"""Names of IIS. Ssl: no plain HTTP (403.4); Ssl128: no cipher of less than 128 bits (403.5)."""

CERTIFICATE_FLAGS = frozenset(("SslNegotiateCert", "SslRequireCert"))

WILDCARD = "*."
"""Begins a host name that stands for every name with one label more (RFC 9525 section 6.3)."""

UNASSIGNED = "*"
"""The host of an address binding that stands for all: "Any Unassigned" in IIS 4's Key Manager."""


@dataclass(frozen=True, slots=True, order=True)
class Binding:
    """An address that a site is reached at. `listen.port` 0: any free port."""

    listen: Listen
    tls: bool = True

    def __str__(self) -> str:
        return f"{'https' if self.tls else 'http'}://{self.listen.netloc}"


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """PEM files; `key` None: it is in `certificate`."""

    certificate: Path
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class CertificateBinding:
    """A certificate for an address, or for a name on a port (SNI), after ``netsh … sslcert``.

    Exactly one of `ipport` and `hostname` is set. The host of `ipport` may be `UNASSIGNED`.
    """

    files: CertificateFiles
    ipport: Listen | None = None
    hostname: str = ""
    port: int = 0  # of `hostname`
    thumbprint: str = ""  # in the certificate store, if it came from there


@dataclass(frozen=True, slots=True)
class Hsts:
    """Strict-Transport-Security (RFC 6797). `max_age` in seconds."""

    max_age: int
    include_subdomains: bool = False
    preload: bool = False

    @property
    def value(self) -> bytes:
        text = f"max-age={self.max_age}"
        text += "; includeSubDomains" if self.include_subdomains else ""
        return (text + ("; preload" if self.preload else "")).encode()


@dataclass(frozen=True, slots=True)
class SiteLimits:
    """0: no limit. Names and status of IIS's request filtering.

    max_allowed_content_length: bytes of a request body; more is answered 413, in ws2008 404.13.
    max_url: bytes of the path → 404.14. max_query_string: bytes behind "?" → 404.15.
    max_connections: requests of this site at the same time → 503.2.
    """

    max_allowed_content_length: int = 0
    max_url: int = 0
    max_query_string: int = 0
    max_connections: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Host names with one policy and one group of upstreams.

    `hostnames` are lower case, without a final dot, IDNA-encoded; empty: every name. A name may
    begin with `WILDCARD`. `default`: it also answers for names that no site has.
    `redirect`: plain HTTP is redirected instead of answered 403.4 (with the flag Ssl).
    `pass_truncated`: an https:// upstream that ends without close_notify is believed all the same.
    `pass_trailers`: the trailers of requests reach the upstream.
    `client_certificates` is there with one of `CERTIFICATE_FLAGS`, and only then.
    """

    name: str
    number: int = 1  # s-siteid of the HTTPERR log
    hostnames: tuple[str, ...] = ()
    bindings: tuple[Binding, ...]
    default: bool = False
    certificate: CertificateFiles | None = None
    upstreams: tuple[Target, ...]
    ssl_flags: frozenset[str] = frozenset(("Ssl",))
    redirect: bool = False
    hsts: Hsts | None = None
    limits: SiteLimits = SiteLimits()
    pass_truncated: bool = False
    pass_trailers: bool = False
    client_certificates: ClientCertificates | None = None

    @property
    def policy(self) -> str:
        """What a client is asked for in the handshake, "" for nothing. A connection or session that
        began with one site may not be used for another whose policy differs."""
        return self.client_certificates.policy if self.client_certificates is not None else ""


STDERR, STDOUT, OFF = "stderr", "stdout", "off"


@dataclass(frozen=True, slots=True)
class Logs:
    """`access`: a file, or one of the words `STDERR`, `STDOUT` and `OFF`."""

    access: Path | str = STDERR


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Everything. `sources`: registry name → "default", "file", "environment" or "command line".

    `path` is the file it was read from, None without one. `warnings` are lines for a person.
    """

    profile: Profile = Profile.NATIVE
    parameters: Parameters = field(default_factory=Parameters)
    sources: Mapping[str, str] = field(default_factory=dict)
    sites: tuple[Site, ...]
    certificate_bindings: tuple[CertificateBinding, ...] = ()
    logs: Logs = Logs()
    path: Path | None = None
    warnings: tuple[str, ...] = ()
