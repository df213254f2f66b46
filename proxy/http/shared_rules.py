"""Rules that requests and responses have in common. Each raises what `error` makes."""

from __future__ import annotations

from kssl.proxy.http import grammar
from kssl.proxy.http.messages import MAX_BODY, ErrorFactory, Fields, Limits

COMMON_OPTIONS = {
    spelling: frozenset(option.strip().lower() for option in spelling.split(b","))
    for spelling in (
        b"keep-alive",
        b"Keep-Alive",
        b"close",
        b"Close",
        b"upgrade",
        b"Upgrade",
        b"keep-alive, Upgrade",
    )
}
"""Common values of Connection → options. Nothing here nominates a field that matters."""


def check_count(fields: Fields, limits: Limits, error: ErrorFactory) -> None:
    """Check the number of fields."""
    if len(fields) > limits.max_fields:
        raise error("Header", f"There are more than {limits.max_fields} fields.")


def check_lengths(fields: Fields, limits: Limits, error: ErrorFactory) -> None:
    """Check the size of each field of a request."""
    longest = limits.max_field_length
    for _, name, value in fields:
        if len(name) + len(value) > longest:
            raise error("FieldLength", f"A field is longer than MaxFieldLength ({longest} bytes).")


def may_break_limits(head_size: int, limits: Limits) -> bool:
    """Whether a head of that many bytes could have too many fields, or one that is too long.

    The shortest field line is `a:` and CRLF, four bytes; so most heads need no counting.
    """
    return head_size > limits.max_field_length or head_size > 4 * limits.max_fields


def surely_within(head: bytes, limits: Limits) -> bool:
    """Whether the fields of a whole head obey the limits, told without splitting it."""
    size = len(head)
    return size <= limits.max_field_length and (
        size <= 4 * limits.max_fields or head.count(b"\n") <= limits.max_fields + 2
    )


def connection_options(value: bytes, error: ErrorFactory) -> frozenset[bytes]:
    """Connection = #connection-option (RFC 9110 section 7.6.1), in lower case.

    Empty elements are tolerated, as section 5.6.1.2 asks of a recipient.
    """
    options = {item.strip(b" \t").lower() for item in value.split(b",")}
    options.discard(b"")
    for option in options:
        if grammar.token(option) is None:
            raise error("Header", "Connection is not a list of tokens.")
    return frozenset(options)


def content_length(value: bytes, error: ErrorFactory) -> int:
    """Content-Length = 1*DIGIT (RFC 9110 section 8.6), at most 2^63-1. No list, no sign."""
    # isdigit of bytes knows ASCII digits only; 19 digits hold 2^63-1.
    if value.isdigit() and len(value) <= 19:
        length = int(value)
        if length <= MAX_BODY:
            return length
    raise error("Number", "Content-Length is not one number that fits in 63 bits.")
