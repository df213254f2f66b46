"""What an upstream's response may say, once its grammar is right. Both codecs end here.

Refusals are UpstreamErrors: a response whose end is uncertain would poison the connection.

A response that has no body by its status or its request (RFC 9112 section 6.3, rule 1) ends with
its head, whatever its fields say. An app that gets this wrong sends the body all the same, perhaps
a moment later, where the next client's answer is due. So the connection is kept only behind a head
that announces no body: no length but 0, no Transfer-Encoding, and to HEAD not a body until the end
of the connection either. That some of these are legal (a length in answer to HEAD, or with 304)
does not say whether the app knows that the body may not follow.
"""

from __future__ import annotations

from kssl.proxy.http import grammar
from kssl.proxy.http.keep_alive import idle_limit
from kssl.proxy.http.messages import (
    Fields,
    Framing,
    Limits,
    ResponseHead,
    UpstreamError,
    upstream_error,
)
from kssl.proxy.http.shared_rules import (
    COMMON_OPTIONS,
    check_count,
    connection_options,
    content_length,
    may_break_limits,
)

UpgradeAsked = bytes | bool | None
"""The Upgrade value of the request; or only whether there was one."""

# Members of an Enum are slow to look up in a class (Python 3.11): 50 ns each.
_NONE = Framing.NONE
_LENGTH = Framing.LENGTH

_NO_OPTIONS: frozenset[bytes] = frozenset()


def make_response(
    minor: bytes,
    status: int,
    reason: bytes,
    fields: Fields,
    request_method: bytes,
    upgrade_asked: UpgradeAsked,
    head_size: int,
    limits: Limits,
) -> ResponseHead:
    """Apply every rule. No rule reads a field that names.special_lines does not find.

    Framing is that of RFC 9112 section 6.3. Raises UpstreamError.
    """
    if may_break_limits(head_size, limits):
        # Its fields may be as long as the head: applications send large cookies and policies.
        check_count(fields, limits, upstream_error)
    length: int | None = None
    chunked = False
    options = _NO_OPTIONS
    upgrade: bytes | None = None
    hint: bytes | None = None
    for low, _, value in fields:
        if low == b"content-length":
            if length is not None:
                raise UpstreamError("The response has more than one Content-Length.")
            length = content_length(value, upstream_error)
        elif low == b"connection":
            common = COMMON_OPTIONS.get(value) or connection_options(value, upstream_error)
            options = options | common if options else common
        elif low == b"transfer-encoding":
            if chunked:
                raise UpstreamError("The response has more than one Transfer-Encoding.")
            if value.lower() != b"chunked":
                raise UpstreamError("The response's Transfer-Encoding is not chunked.")
            chunked = True
        elif low == b"upgrade":
            upgrade = value if upgrade is None else upgrade + b", " + value
        elif low == b"keep-alive":
            hint = value if hint is None else hint + b"," + value
    if chunked:
        if length is not None:
            raise UpstreamError("The response has both Content-Length and Transfer-Encoding.")
        if minor == b"0":
            raise UpstreamError("The response is HTTP/1.0 and has a Transfer-Encoding.")

    modern = minor == b"1"
    keep_alive = b"close" not in options and (modern or b"keep-alive" in options)
    if status < 200 or status == 204:
        # Neither may have a body or say its length (RFC 9110 section 8.6).
        framing = _NONE
        keep_alive = keep_alive and not (chunked or length)
        length = None
    elif status == 304:
        framing = _NONE
        keep_alive = keep_alive and not (chunked or length)
    elif request_method == b"HEAD":
        framing = _NONE
        keep_alive = keep_alive and length == 0
    elif length is not None:
        framing = _LENGTH
    elif chunked:
        framing = Framing.CHUNKED
    else:
        framing = Framing.CLOSE
        keep_alive = False
    if status == 101:
        _check_switch(minor, options, upgrade, upgrade_asked)
    elif status != 426 or upgrade is None or not _is_protocol_list(upgrade):
        # Elsewhere Upgrade only advertises, and a proxy's client has nothing to do with that. With
        # 426 it says what the client has to do (RFC 9110 section 15.5.22).
        upgrade = None
    return ResponseHead(
        status,
        reason,
        b"1.1" if modern else b"1.0",
        fields,
        framing,
        length,
        keep_alive,
        options,
        upgrade,
        idle_limit(hint) if hint is not None else None,
    )


def _check_switch(
    minor: bytes, options: frozenset[bytes], upgrade: bytes | None, asked: UpgradeAsked
) -> None:
    """A 101 has to switch to something that the client asked for (RFC 9110 section 15.2.2)."""
    if not asked:
        raise UpstreamError("The upstream switched protocols, which nobody had asked for.")
    if minor == b"0" or upgrade is None or b"upgrade" not in options:
        raise UpstreamError("The upstream switched protocols without saying to which.")
    if not _is_protocol_list(upgrade):
        raise UpstreamError("The upstream's Upgrade is not a list of protocols.")
    if isinstance(asked, bytes):
        chosen = [item.strip(b" \t").lower() for item in upgrade.split(b",")]
        offered = {item.strip(b" \t").lower() for item in asked.split(b",")}
        if not offered.issuperset(chosen):
            raise UpstreamError("The upstream switched to a protocol that nobody had asked for.")


def _is_protocol_list(value: bytes) -> bool:
    """Whether the value of Upgrade is #protocol (RFC 9110 section 7.8)."""
    return all(grammar.protocol(item.strip(b" \t")) for item in value.split(b","))
