"""Field names by what the proxy does with them."""

from __future__ import annotations

import re

HOP_BY_HOP = frozenset(
    {
        # RFC 9110 section 7.6.1. Transfer-Encoding is rebuilt from the framing, Upgrade from
        # the head. Proxy-Authenticate, Proxy-Authorization and Proxy-Authentication-Info are
        # between a client and its own proxy; "Proxy" is no field of HTTP, but CGI turns it into
        # HTTP_PROXY.
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy",
    }
)

_SET_BY_PROXY = (
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-proto",
    b"x-real-ip",
    b"forwarded",
)
_SPEAKS_FOR_PROXY = (
    # Nobody but a proxy has a reason to send these, and applications trust them.
    b"x-forwarded-by",
    b"x-forwarded-client-cert",
    b"x-forwarded-prefix",
    b"x-forwarded-scheme",
    b"x-forwarded-server",
    b"x-forwarded-ssl",
    b"x-arr-clientcert",
    b"x-original-forwarded-for",
    b"client-cert",  # RFC 9440
    b"client-cert-chain",
    b"x-client-dn",
    b"x-client-verify",
)

# The last four: of client certificates, ours and those of other proxies.
_FORGED_PREFIXES = (
    b"x-forwarded-",
    b"x-kssl-",
    b"x-client-cert",
    b"x-ssl-client",
    b"x-ssl-cert",
    b"ssl-client",
)


# Applications get names as variables, with "_" for each hyphen; PHP has it for each full stop as
# well, lighttpd for all that is no letter and no digit. RFC 9110 section 5.6.2 says what there is.
_MARKS = b"!#$%&'*+.^_`|~"
_HYPHENED = bytes.maketrans(_MARKS, b"-" * len(_MARKS))

FORGED = frozenset(_SET_BY_PROXY + _SPEAKS_FOR_PROXY)
"""Names that a client may not speak with, however it spells the hyphens; dropped from a request,
whatever the value."""


def is_forged(low: bytes) -> bool:
    """Whether a lower-case name would be taken for a field of the proxy's own."""
    hyphened = low.translate(_HYPHENED)
    return (
        hyphened in FORGED
        or hyphened.startswith(_FORGED_PREFIXES)
        # `Content_Length` is no framing to us, but CGI and WSGI give it the name of the real one.
        or (hyphened != low and hyphened in _HANDLED)
    )


_FRAMING_AND_ROUTING = frozenset(
    {b"content-length", b"transfer-encoding", b"host", b"trailer", b"expect", b"via"}
)

_HANDLED = HOP_BY_HOP | _FRAMING_AND_ROUTING

NOT_NOMINABLE = _FRAMING_AND_ROUTING
"""Fields that Connection may not turn into hop-by-hop ones: to strip them would change the
message's framing or route (RFC 9110 section 7.6.1)."""

HARMLESS_OPTIONS = frozenset({b"close", b"keep-alive", b"upgrade", b"te"})
"""Connection options that nominate only fields that are removed anyway."""

REBUILT = frozenset({b"via", b"trailer", b"expect"})
"""Fields whose value may change on the way."""

NOT_IN_TRAILERS = (
    _FRAMING_AND_ROUTING
    | HOP_BY_HOP
    | {
        # RFC 9110 section 6.5.1: framing, routing, request modifiers, authentication, response
        # control, and how to process the content.
        b"authorization",
        b"www-authenticate",
        b"cookie",
        b"set-cookie",
        b"age",
        b"cache-control",
        b"date",
        b"expires",
        b"location",
        b"retry-after",
        b"vary",
        b"warning",
        b"max-forwards",
        b"pragma",
        b"range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"if-range",
    }
)


def forbidden_in_trailer(low: bytes) -> bool:
    """Whether a lower-case name may not be a trailer field (RFC 9110 section 6.5.1)."""
    hyphened = low.translate(_HYPHENED)
    return hyphened in NOT_IN_TRAILERS or hyphened.startswith(b"content-") or is_forged(hyphened)


_COMMON = (
    b"accept accept-charset accept-encoding accept-language accept-ranges "
    b"access-control-allow-credentials access-control-allow-headers access-control-allow-methods "
    b"access-control-allow-origin access-control-expose-headers access-control-max-age "
    b"access-control-request-headers access-control-request-method age allow alt-svc "
    b"authorization cache-control connection content-disposition content-encoding "
    b"content-language content-length content-location content-range content-security-policy "
    b"content-type cookie cross-origin-opener-policy cross-origin-resource-policy date dnt etag "
    b"expect expires from host if-match if-modified-since if-none-match if-range "
    b"if-unmodified-since keep-alive last-modified link location origin permissions-policy "
    b"pragma priority range referer referrer-policy retry-after sec-ch-ua sec-ch-ua-mobile "
    b"sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user "
    b"sec-websocket-accept sec-websocket-extensions sec-websocket-key sec-websocket-protocol "
    b"sec-websocket-version server server-timing set-cookie strict-transport-security te "
    b"traceparent tracestate transfer-encoding upgrade upgrade-insecure-requests user-agent vary "
    b"via www-authenticate x-content-type-options x-csrf-token x-frame-options x-powered-by "
    b"x-request-id x-requested-with x-xss-protection"
).split()


END_TO_END = frozenset(_COMMON) - HOP_BY_HOP - _FRAMING_AND_ROUTING
"""Common names that pass through untouched: the fast path of forward.py."""


WITH_VALUE = frozenset({b"connection", b"transfer-encoding"})
"""The fields of which `special_lines` gives the value too."""


def _spelled(name: bytes) -> bytes:
    """Behind its first letter, with any mark for each hyphen."""
    return re.escape(name[1:]).replace(rb"\-", b"[-%b]" % re.escape(_MARKS))


def _special_pattern() -> bytes:
    """Names that the proxy acts on, grouped by their first letter so that others fail early."""
    groups: dict[bytes, list[bytes]] = {}
    for name in sorted(_HANDLED.union(_SET_BY_PROXY, _SPEAKS_FOR_PROXY)):
        spelling = _spelled(name)
        rest = rb":[^\r]*+" if name in WITH_VALUE else rb":"
        groups.setdefault(name[:1], []).append(spelling + rest)
    for prefix in _FORGED_PREFIXES:
        spelling = _spelled(prefix)
        groups.setdefault(prefix[:1], []).append(spelling + rb"[^:]*+:")
    parts = (first + b"(?:" + b"|".join(rest) + b")" for first, rest in groups.items())
    return b"|".join(parts)


special_lines = re.compile(rb"\n(?:" + _special_pattern() + rb")").findall
"""A head in lower case that matches the grammar → for every field that a rule or a builder acts on,
in order: LF, its name and a colon; and for WITH_VALUE its value."""
