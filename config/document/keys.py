"""The table of keys of kssl.toml. The keys of ``[parameters]`` are
`kssl.config.table.PARAMETERS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from kssl.config.client_certificates import DEFAULT_DEPTH, DEFAULT_TIMEOUT, Failure, Headers
from kssl.config.model import SSL_FLAGS
from kssl.config.parameter import Profile
from kssl.config.target import MAX_PORT

HSTS_PRELOAD_AGE = 31536000
"""Seconds. What hstspreload.org asks for at least."""
HSTS_LONGEST = 0x7FFFFFFF
"""Seconds. Whoever parses max-age into 32 bits with a sign still gets it right."""
LONGEST_NAME = 64
"""Characters of a site's name."""
TRUNCATION = ("abort", "pass")
"""What becomes of an answer that may have been cut off; the first is the default."""
TRAILERS = ("drop", "pass")
"""What becomes of the trailers of requests; the first is the default."""

DEEPEST = 32
"""CAs between a client's certificate and a trusted one: the verifier goes no deeper."""
MOST_RULES, LONGEST_RULE = 1000, 2048
"""Rules about client certificates of a site, allow and deny together; characters of one."""
LONGEST_RETRIEVAL = 20_000
"""ms of urlretrievaltimeout: a client waits for it in its handshake (HeaderWaitTimeout)."""

# TOML 1.0 has integers of 64 bits with a sign.
LARGEST = (1 << 63) - 1
DWORD = 0xFFFFFFFF

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a table. `schema`: its value as JSON schema (draft 2020-12).

    `default` is in words.
    """

    name: str
    schema: Schema
    meaning: str
    default: str = ""


_TEXT: Schema = {"type": "string", "minLength": 1}
_FLAG: Schema = {"type": "boolean"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_RULES: Schema = {
    "type": "array",
    "items": {**_TEXT, "maxLength": LONGEST_RULE},
    "maxItems": MOST_RULES,
}


def _number(minimum: int, maximum: int) -> Schema:
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def _words(kind: type[StrEnum]) -> Schema:
    return {"enum": [str(word) for word in kind]}


ROOT = (
    Key(
        name="profile", schema=_words(Profile), default="native",
        meaning="origin of the defaults, and what is not available",
    ),
    Key(
        name="parameters", schema={"$ref": "#/$defs/parameters"},
        default="each its own, by profile",
        meaning="values of HTTP\\Parameters, names in any case (docs/parameters.md)",
    ),
    Key(
        name="site", schema={"type": "array", "items": {"$ref": "#/$defs/site"}},
        default="one site for TARGET",
        meaning="host names with one policy and one group of upstreams",
    ),
    Key(
        name="binding", schema={"type": "array", "items": {"$ref": "#/$defs/binding"}},
        meaning="a certificate for an address, or for a name on a port (SNI)",
    ),
    Key(name="logs", schema={"$ref": "#/$defs/logs"}, meaning="where the logs go"),
)  # fmt: skip

CLIENT_CERTIFICATES = (
    Key(
        name="client_ca", schema=_TEXT, default="required with SslNegotiateCert or SslRequireCert",
        meaning="whom to trust with client certificates: PEM file, or folder of such files; "
        "relative to the folder of kssl.toml",
    ),
    Key(
        name="client_cert_failure", schema=_words(Failure), default=Failure.PAGE,
        meaning="what a client gets whose certificate is not good, or missing with SslRequireCert: "
        "page: 403 with a substatus; alert: the connection ends with a TLS alert; pass: the app "
        "decides, by the fields of its request",
    ),
    Key(
        name="client_cert_headers", schema=_words(Headers), default=Headers.RFC9440,
        meaning="what the app is told: rfc9440: Client-Cert, Client-Cert-Chain and "
        "X-Client-Cert-Verdict; all: also X-Client-Cert-Subject, -Issuer, -San, -Serial, "
        "-Fingerprint and -Reason; off: nothing",
    ),
    Key(
        name="client_intermediates", schema=_TEXT, default="those that clients present",
        meaning="CAs that may stand between a client's certificate and client_ca: PEM file or "
        "folder",
    ),
    Key(
        name="client_cert_depth", schema=_number(0, DEEPEST), default=str(DEFAULT_DEPTH),
        meaning="most CAs between a client's certificate and client_ca",
    ),
    Key(
        name="client_cert_allow", schema={**_RULES, "minItems": 1},
        default="all that client_ca vouches for",
        meaning="rules, of which one must match: issuer:DN, dns:NAME, email:ADDRESS, uri:URI, "
        "ip:ADDRESS, fingerprint:SHA-256",
    ),
    Key(
        name="client_cert_deny", schema=_RULES, default="[]",
        meaning="rules, of which none may match; they win over client_cert_allow",
    ),
    Key(
        name="client_crls", schema={**_TEXTS, "minItems": 1}, default="none",
        meaning="files with revocation lists, PEM or DER",
    ),
    Key(
        name="verifyclientcertrevocation", schema=_FLAG, default="true with client_crls",
        meaning="true: whoever cannot be shown not to be revoked is refused",
    ),
    Key(
        name="revocationfreshnesstime", schema=_number(0, DWORD), default="0: until the list ends",
        meaning="seconds after its issue for which a revocation list is good",
    ),
    Key(
        name="verifyrevocationwithcachedclientcertonly", schema=_FLAG, default="false",
        meaning="true: no revocation list is fetched; those of client_crls alone count",
    ),
    Key(
        name="usagecheck", schema=_FLAG, default="true",
        meaning="false: certificates that are not made for clients are taken too",
    ),
    Key(
        name="urlretrievaltimeout", schema=_number(1, LONGEST_RETRIEVAL),
        default=str(DEFAULT_TIMEOUT),
        meaning="milliseconds for everything that is fetched because of one client's certificate",
    ),
)  # fmt: skip
"""Of a site. The names without client_ are those of ``netsh http add sslcert``."""

SITE = (
    Key(
        name="name", schema={"type": "string", "minLength": 1, "maxLength": LONGEST_NAME},
        default="the first host name",
        meaning="for logs and messages; each name once",
    ),
    Key(
        name="hostnames", schema=_TEXTS, default="every name",
        meaning="names the site answers for; *.example.org stands for one label more",
    ),
    Key(
        name="bindings", schema=_TEXTS, default="the address of --listen",
        meaning="addresses the site is reached at, ADDRESS:PORT; http:// in front: without TLS",
    ),
    Key(
        name="default", schema=_FLAG, default="true without hostnames",
        meaning="the site answers for names that no site on its bindings has",
    ),
    Key(
        name="certificate", schema=_TEXT, default="a binding's, else the development CA's",
        meaning="PEM chain; relative to the folder of kssl.toml",
    ),
    Key(
        name="key", schema=_TEXT, default="in the certificate's file",
        meaning="PEM private key",
    ),
    Key(
        name="upstreams", schema={**_TEXTS, "minItems": 1}, default="required",
        meaning="where requests go, in turn: http[s]://HOST[:PORT] or unix:/PATH",
    ),
    Key(
        name="sslFlags", schema={"type": "array", "items": {"enum": list(SSL_FLAGS)}},
        default='["Ssl"]; [] in ws2008 and ws2003sp1',
        meaning="Ssl: plain HTTP is answered 403.4; Ssl128: less than 128 bits 403.5; "
        "SslNegotiateCert: clients are asked for a certificate; SslRequireCert: they must have one",
    ),
    Key(
        name="redirect", schema=_FLAG, default="false",
        meaning="plain HTTP is redirected to https instead of answered 403.4",
    ),
    Key(
        name="hsts",
        schema={"anyOf": [_number(0, HSTS_LONGEST), {"$ref": "#/$defs/hsts"}]}, default="not sent",
        meaning="Strict-Transport-Security: seconds, or a table (RFC 6797)",
    ),
    Key(name="limits", schema={"$ref": "#/$defs/limits"}, meaning="limits of requests"),
    Key(
        name="upstream_ca", schema=_TEXT, default="the system's CAs",
        meaning="PEM bundle: who may have issued the certificates of https:// upstreams; relative "
        "to the folder of kssl.toml",
    ),
    Key(
        name="upstream_name", schema=_TEXT, default="the host of the URL",
        meaning="host name or IP address that the certificates of https:// upstreams must have, "
        "and SNI if it is a name",
    ),
    Key(
        name="upstream_certificate", schema=_TEXT, default="none is shown",
        meaning="PEM chain: kssl's own, for https:// upstreams that ask for one",
    ),
    Key(
        name="upstream_key", schema=_TEXT, default="in the file of upstream_certificate",
        meaning="PEM private key",
    ),
    Key(
        name="upstream_truncation", schema={"enum": list(TRUNCATION)}, default=TRUNCATION[0],
        meaning="an answer of an https:// upstream that only the end of the connection ends, when "
        "that comes without close_notify: abort: the client's connection is aborted; pass: it is "
        "passed on as complete, so whoever is between kssl and the app can cut answers short "
        "unnoticed",
    ),
    Key(
        name="request_trailers", schema={"enum": list(TRAILERS)}, default=TRAILERS[0],
        meaning="trailer fields behind the chunked body of a request: drop: the app does not get "
        "them; pass: it does, and the connection to it ends with that request, for some apps take "
        "trailers for fields of the next request, or for the request itself",
    ),
    *CLIENT_CERTIFICATES,
)  # fmt: skip

LIMITS = (
    Key(
        name="maxAllowedContentLength", schema=_number(0, LARGEST), default="0: no limit",
        meaning="bytes of a request body; more is answered 413 (404.13 in ws2008)",
    ),
    Key(
        name="maxUrl", schema=_number(0, DWORD), default="0: no limit",
        meaning="bytes of a path; more is answered 404.14",
    ),
    Key(
        name="maxQueryString", schema=_number(0, DWORD), default="0: no limit",
        meaning="bytes behind the question mark; more is answered 404.15",
    ),
    Key(
        name="maxConnections", schema=_number(0, DWORD), default="0: no limit",
        meaning="requests of the site at the same time; more are answered 503.2",
    ),
)  # fmt: skip

HSTS = (
    Key(
        name="max_age", schema=_number(0, HSTS_LONGEST), default="required",
        meaning="seconds for which browsers use https only",
    ),
    Key(
        name="include_subdomains", schema=_FLAG, default="false",
        meaning="also for all names below",
    ),
    Key(
        name="preload", schema=_FLAG, default="false",
        meaning="consent to the browsers' built-in list; needs include_subdomains and "
        f"max_age of at least {HSTS_PRELOAD_AGE}",
    ),
)  # fmt: skip

BINDING = (
    Key(
        name="ipport", schema=_TEXT,
        meaning=f"ADDRESS:PORT, or *:PORT for all addresses; port 0-{MAX_PORT}",
    ),
    Key(
        name="hostnameport", schema=_TEXT,
        meaning="NAME:PORT, for clients that name it (SNI); instead of ipport",
    ),
    Key(
        name="certhash", schema=_TEXT,
        meaning="SHA-256 thumbprint of a certificate in the store (kssl cert list)",
    ),
    Key(
        name="certificate", schema=_TEXT,
        meaning="PEM chain, instead of certhash; relative to the folder of kssl.toml",
    ),
    Key(
        name="key", schema=_TEXT, default="in the certificate's file",
        meaning="PEM private key",
    ),
)  # fmt: skip

LOGS = (
    Key(
        name="access",
        schema=_TEXT,
        default="stderr",
        meaning='access log: "stderr", "stdout", "off" or a file ("./stdout": one of that name)',
    ),
)

SECTIONS: Mapping[str, tuple[Key, ...]] = {
    "": ROOT,
    "site": SITE,
    "site.limits": LIMITS,
    "site.hsts": HSTS,
    "binding": BINDING,
    "logs": LOGS,
}
"""Every table but ``parameters``; "" is the whole document."""


def by_name(keys: tuple[Key, ...], name: str) -> Key:
    return next(key for key in keys if key.name == name)
