"""A plain strict parser: slow, and able to say what is wrong with a head.

The fast path is one regular expression per head (grammar.py), which only says yes or no. Heads
that it does not match come here, to be refused with a sentence, or taken when they are legal but
uncommon. The h11 codec and trailers always come here.
"""

from __future__ import annotations

from kssl.proxy.http import grammar
from kssl.proxy.http.messages import ErrorFactory, Field, HttpError, client_error, upstream_error


def _lines(head: bytes, error: ErrorFactory) -> list[bytes]:
    """Lines of a head without their CRLF and without the empty last one."""
    if not head.endswith(b"\r\n"):
        raise error("BadRequest", "The head does not end with an empty line.")
    lines = head.split(b"\r\n")
    del lines[-1]
    for line in lines:
        if b"\r" in line or b"\n" in line:
            raise error("Invalid_CR/LF", "A CR or LF stands alone; lines end with CRLF.")
        if b"\0" in line:
            raise error("Header", "The head contains a NUL byte.")
    if not lines or lines.pop():
        raise error("BadRequest", "The head does not end with an empty line.")
    return lines


def split_fields(lines: list[bytes], error: ErrorFactory) -> list[Field]:
    """Field lines → fields (RFC 9112 section 5). Raises what `error` makes."""
    fields: list[Field] = []
    for line in lines:
        if not line:
            raise error("BadRequest", "An empty line stands inside the head.")
        if line[0] in b" \t":
            raise error("Header", "A field line starts with white space (line folding).")
        name, colon, value = line.partition(b":")
        if not colon:
            raise error("Header", "A field line has no colon.")
        if grammar.token(name) is None:
            if not name:
                detail = "A field has an empty name."
            elif name[-1] in b" \t":
                detail = "White space stands before the colon of a field."
            else:
                detail = "A field name has a character that is not allowed."
            raise error("Header", detail)
        if grammar.value(value) is None:
            raise error("Header", f"The value of {name.decode()} has a control character.")
        fields.append((name.lower(), name, value.strip(b" \t")))
    return fields


def split_request(head: bytes) -> tuple[bytes, bytes, bytes, list[Field]]:
    """A request head → method, target, minor version, fields.

    The target is any of the forms; request_rules.target decides. Raises HttpError.
    """
    lines = _lines(head, client_error)
    if not lines:
        raise HttpError(400, "BadRequest", "The request line is missing.")
    parts = lines[0].split(b" ")
    if len(parts) == 2 and parts[1]:
        raise HttpError(400, "BadRequest", "The request has no version (HTTP/0.9).")
    if len(parts) != 3 and head.startswith((b"PROXY TCP", b"PROXY UNKNOWN")):
        raise HttpError(400, "BadRequest", "This is a PROXY protocol header, not a request.")
    if len(parts) != 3:
        raise HttpError(
            400, "BadRequest", "The request line is not three words with one space between them."
        )
    method, target, version = parts
    if grammar.token(method) is None:
        raise HttpError(400, "Verb", "The method is not a token.")
    if grammar.http_version(version) is None:
        raise HttpError(400, "BadRequest", "The request line does not end with an HTTP version.")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise HttpError(505, "Version_N/S", "The version is not HTTP/1.1 or HTTP/1.0.")
    return method, target, version[-1:], split_fields(lines[1:], client_error)


def split_response(head: bytes) -> tuple[bytes, bytes, bytes, list[Field]]:
    """A response head → minor version, status, reason, fields. Raises UpstreamError."""
    lines = _lines(head, upstream_error)
    match = grammar.status_line(lines[0]) if lines else None
    if match is None:
        raise upstream_error("", "The upstream's status line is not one of HTTP/1.1 or HTTP/1.0.")
    minor, status, reason = match.groups()
    return minor, status, reason or b"", split_fields(lines[1:], upstream_error)


def split_trailers(section: bytes, error: ErrorFactory) -> list[Field]:
    """A trailer section with its last empty line → fields (RFC 9112 section 7.1.2)."""
    return split_fields(_lines(section, error), error)
