"""What a request may say, once its grammar is right. Both codecs end here.

Every refusal is an HttpError: nothing that breaks a rule is repaired and forwarded, because two
servers that repair it differently are how requests are smuggled.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv6Address

from kssl.proxy.http import grammar
from kssl.proxy.http.messages import Fields, HttpError, Limits, RequestHead, client_error
from kssl.proxy.http.names import NOT_NOMINABLE
from kssl.proxy.http.shared_rules import (
    COMMON_OPTIONS,
    check_count,
    check_lengths,
    connection_options,
    content_length,
    may_break_limits,
)

_DEFAULT_PORT = {b"http": b":80", b"https": b":443"}
_match_host = grammar.host
_NO_OPTIONS: frozenset[bytes] = frozenset()


def make_request(
    method: bytes,
    target: bytes,
    minor: bytes,
    fields: Fields,
    head_size: int,
    limits: Limits,
    plain_target: bool,
) -> RequestHead:
    """Apply every rule. No rule reads a field that names.special_lines does not find.

    plain_target: the target is known to be in origin-form; otherwise it is checked here.
    head_size: bytes of the whole head; no field can be too long if the head is not.
    Raises HttpError.
    """
    if may_break_limits(head_size, limits):
        check_count(fields, limits, client_error)
        check_lengths(fields, limits, client_error)
    modern = minor == b"1"
    host: bytes | None = None
    length: int | None = None
    chunked = False
    options = _NO_OPTIONS
    upgrades: bytes | None = None
    expect: bytes | None = None
    for low, _, value in fields:
        if low == b"host":
            if host is not None:
                raise HttpError(400, "Hostname", "The request has more than one Host.")
            match = _match_host(value)
            if match is None or match.lastindex is not None:
                check_host(value)
            host = value
        elif low == b"connection":
            # Several Connection lines are one list (RFC 9110 section 5.3).
            common = COMMON_OPTIONS.get(value)
            if common is None:
                common = connection_options(value, client_error)
                if not NOT_NOMINABLE.isdisjoint(common):
                    raise HttpError(
                        400, "Header", "Connection names a field that has to reach the upstream."
                    )
            options = options | common if options else common
        elif low == b"content-length":
            if length is not None:
                raise HttpError(400, "Header", "The request has more than one Content-Length.")
            length = content_length(value, client_error)
        elif low == b"transfer-encoding":
            if chunked:
                raise HttpError(400, "Header", "The request has more than one Transfer-Encoding.")
            if value.lower() != b"chunked":
                raise HttpError(400, "Header", "Transfer-Encoding may only be chunked.")
            chunked = True
        elif low == b"upgrade":
            upgrades = value if upgrades is None else upgrades + b", " + value
        elif low == b"expect":
            expect = value if expect is None else expect + b", " + value

    if chunked:
        if length is not None:
            raise HttpError(
                400, "Header", "Content-Length and Transfer-Encoding exclude each other."
            )
        if not modern:
            raise HttpError(400, "Header", "HTTP/1.0 has no Transfer-Encoding.")
    if not plain_target or method == b"CONNECT":
        target, host = _uncommon_target(method, target, modern, host)
    elif host is None and modern:
        raise HttpError(400, "Hostname", "The request has no Host.")

    upgrade: bytes | None = None
    if upgrades is not None:
        upgrade = offered_upgrades(upgrades)
        # RFC 9110 section 7.8: without the connection option, or in HTTP/1.0, it is ignored.
        if not modern or b"upgrade" not in options:
            upgrade = None
    if expect is not None:
        # RFC 9110 section 10.1.1: a server ignores the expectation of an HTTP/1.0 client.
        if not modern:
            expect = None
        elif expect.lower() != b"100-continue":
            raise HttpError(417, "Header", "The only expectation that can be met is 100-continue.")
        elif not chunked and not length:
            expect = None  # there is no content to continue with

    return RequestHead(
        method,
        target,
        b"1.1" if modern else b"1.0",
        fields,
        host or b"",
        length,
        chunked,
        b"close" not in options and (modern or b"keep-alive" in options),
        upgrade,
        expect is not None,
        options,
    )


def check_host(value: bytes) -> None:
    """Host = uri-host [ ":" port ] (RFC 9110 section 7.2), not empty. Raises HttpError."""
    match = grammar.host(value)
    if match is None:
        raise HttpError(400, "Hostname", "Host is not a host name and an optional port.")
    if match.lastindex is not None:
        try:
            IPv6Address(match[1].decode())
        except AddressValueError:
            raise HttpError(400, "Hostname", "Host is not a valid IPv6 address.") from None


def _uncommon_target(
    method: bytes, target: bytes, modern: bool, host: bytes | None
) -> tuple[bytes, bytes | None]:
    """Everything but a plain origin-form (RFC 9112 section 3.2) → origin-form or `*`, host."""
    if method == b"CONNECT":
        raise HttpError(405, "Verb", "CONNECT is for forward proxies; this is a reverse proxy.")
    if host is None and modern:
        raise HttpError(400, "Hostname", "The request has no Host.")
    if target == b"*":
        if method != b"OPTIONS":
            raise HttpError(400, "URL", "The target * is for OPTIONS only.")
        return target, host
    if grammar.origin_form(target) is not None:
        return target, host
    match = grammar.absolute_form(target)
    if match is None:
        if target[:1] != b"/":
            detail = "The target starts neither with / nor with http:// or https://."
        elif b"#" in target:
            detail = "The target has a fragment (#)."
        else:
            detail = "The target has a character that has to be percent-encoded."
        raise HttpError(400, "URL", detail)
    scheme, authority, rest = match.groups()
    default = _DEFAULT_PORT[scheme.lower()]
    if host is None:
        check_host(authority)
        host = authority
    elif _normal(authority, default) != _normal(host, default):
        raise HttpError(400, "URL", "The host in the target is not the one in Host.")
    if rest[:1] == b"/":
        return rest, host
    # RFC 9112 sections 3.2.1 and 3.2.4: an empty path is "/", and for OPTIONS it is "*".
    if not rest and method == b"OPTIONS":
        return b"*", host
    return b"/" + rest, host


def _normal(authority: bytes, default_port: bytes) -> bytes:
    return authority.lower().removesuffix(default_port).removesuffix(b":")


def offered_upgrades(value: bytes) -> bytes | None:
    """Return what is left of an Upgrade field without other versions of HTTP; None: nothing is.

    A server may ignore any protocol in the list (RFC 9110 section 7.8). In another version of HTTP,
    such as h2c, requests would pass the proxy unseen. Raises HttpError for what is no list.
    """
    offered = []
    for item in value.split(b","):
        name = item.strip(b" \t")
        if grammar.protocol(name) is None:
            raise HttpError(400, "Header", "Upgrade is not a list of protocols.")
        if _is_http(name.lower().partition(b"/")[0]):
            continue
        offered.append(name)
    return b", ".join(offered) or None


def _is_http(name: bytes) -> bool:
    """Whether a protocol is HTTP: by its name, or by the tokens of HTTP/2 and of its drafts."""
    return name in (b"http", b"h2", b"h2c") or name.startswith((b"h2-", b"h2c-"))
