"""Responses of the proxy itself: small HTML pages that say what went wrong and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from proxy.http import grammar

_PAGES: dict[int, tuple[str, str]] = {
    # status: reason phrase (RFC 9110 section 15), what to do
    400: ("Bad Request", "Check the request; it was not forwarded to the application."),
    403: ("Forbidden", "Present the credentials that this site asks for."),
    404: ("Not Found", "Check the host name; no site of this proxy has it."),
    405: ("Method Not Allowed", "Use another method; this one is not for a reverse proxy."),
    408: ("Request Timeout", "Send the request again, without pauses."),
    413: ("Content Too Large", "Send less, or ask the administrator to raise the limit."),
    417: ("Expectation Failed", "Send the request again without the Expect field."),
    421: ("Misdirected Request", "Open a new connection for this host name."),
    431: ("Request Header Fields Too Large", "Send fewer or shorter fields, such as cookies."),
    500: ("Internal Server Error", "Look into the log of the proxy."),
    501: ("Not Implemented", "Use a method that this proxy implements."),
    502: ("Bad Gateway", "Check that the application runs, and look into its log."),
    503: ("Service Unavailable", "Try again in a moment."),
    504: ("Gateway Timeout", "Check whether the application hangs, or raise the time limit."),
    505: ("HTTP Version Not Supported", "Use HTTP/1.1."),
}
_CULPRIT = {4: "This proxy refused the request.", 5: "This proxy could not answer the request."}

_TEMPLATE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:4em auto;padding:0 1em}}
h1{{font-size:1.4em}}</style></head>
<body><h1>{title}</h1><p>{where}</p><p>{detail}</p><p>{advice}</p><hr><p>kssl</p></body></html>
"""


def error_response(
    status: int,
    substatus: int = 0,  # STAND-IN
    *,
    detail: str,
    reason_phrase: str | None = None,
    extra_fields: Sequence[tuple[bytes, bytes]] = (),
    head_only: bool = False,
    keep_alive: bool = False,
    advice: str | None = None,
) -> bytes:
    """A complete response, ready to send.

    detail, advice: sentences for people, as text; they are escaped here.
    extra_fields: (name, value), trusted: Date, Server, Retry-After and the like.
    head_only: the answer to HEAD, with the length that GET would have.
    """
    phrase, usual_advice = _PAGES.get(status, ("Error", "Look into the log of the proxy."))
    phrase = reason_phrase or phrase
    body = _TEMPLATE.format(
        title=escape(f"{status} {phrase}"),
        where=_CULPRIT.get(status // 100, ""),
        detail=escape(detail),
        advice=escape(advice or usual_advice),
    ).encode("utf-8", "replace")
    out = [
        f"HTTP/1.1 {status} ".encode(),
        phrase.encode("ascii", "replace"),
        b"\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: ",
        str(len(body)).encode(),
        # A page of ours must not be kept for the application's, nor be taken for a script.
        b"\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n",
        *(name + b": " + value + b"\r\n" for name, value in extra_fields),
        b"\r\n" if keep_alive else b"Connection: close\r\n\r\n",
        b"" if head_only else body,
    ]
    return b"".join(out)


def body_size(response: bytes) -> int:
    """Bytes of body in what `error_response` made, for the log."""
    return len(response) - response.index(b"\r\n\r\n") - 4


def plain_http_response(host_header: bytes | None, port: int, path: bytes) -> bytes:
    """The answer to plain HTTP on the TLS port: where the https URL is.

    host_header: the Host value as received, named only when it is a valid one.
    port: where we listen, in the URL unless it is 443. path: the request target as received.
    """
    match = grammar.host(host_header) if host_header else None
    if match is None or host_header is None:
        advice = "Write https:// instead of http:// in front of the address."
    else:
        # The colons of an IPv6 literal stand before its bracket.
        name = re.sub(rb":[0-9]*\Z", b"", host_header)
        suffix = "" if port == 443 else f":{port}"
        where = path if grammar.origin_form(path) is not None else b"/"
        advice = f"Use https://{name.decode('ascii')}{suffix}{where.decode('ascii')} instead."
    return error_response(400, detail="This port speaks HTTPS, and this was HTTP.", advice=advice)
