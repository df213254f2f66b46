"""Responses of the proxy itself: small HTML pages that say what went wrong and what to do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from kssl.proxy.http import grammar

_PAGES: dict[int, tuple[str, str]] = {
    # status: reason phrase (RFC 9110 section 15), what to do
    308: ("Permanent Redirect", "Write https:// in front of the address."),
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
SUBSTATUS: dict[tuple[int, int], tuple[str, str]] = {
    # status and substatus of IIS: what stands behind the reason phrase, what to do
    (403, 4): (
        "SSL required",
        "Write https:// instead of http:// in front of the address.",
    ),
    (403, 5): (
        "128-bit SSL required",
        "Use a client that offers AES or ChaCha20; this site takes no shorter key.",
    ),
    (403, 7): (
        "client certificate required",
        "Choose a certificate when the browser asks for one. If it does not ask, install your "
        "certificate, then close all windows of the browser and start it again, because it "
        "remembers an earlier choice.",
    ),
    (403, 12): (
        "access denied to this client certificate",
        "Close all windows of the browser, start it again and choose another certificate, or ask "
        "the administrator to admit this one.",
    ),
    (403, 13): (
        "client certificate revoked, or its revocation cannot be checked",
        "If the certificate is revoked, get a new one from its issuer, then start the browser "
        "again and choose it. If that cannot be checked, try again later, or tell the "
        "administrator.",
    ),
    (403, 16): (
        "client certificate untrusted or invalid",
        "Close all windows of the browser, start it again and choose a certificate that was issued "
        "for this site. If this is the one, show this page to the administrator.",
    ),
    (403, 17): (
        "client certificate expired or not yet valid",
        "Check the date of your computer. If it is right, renew the certificate, then start the "
        "browser again and choose the new one.",
    ),
    (404, 13): (
        "request body too large",
        "Send less, or ask the administrator to raise maxAllowedContentLength of this site.",
    ),
    (404, 14): (
        "path too long",
        "Use a shorter address, or ask the administrator to raise maxUrl of this site.",
    ),
    (404, 15): (
        "query string too long",
        "Put less behind the question mark, or ask the administrator to raise maxQueryString "
        "of this site.",
    ),
    (503, 2): (
        "too many requests at the same time",
        "Try again in a moment, or ask the administrator to raise maxConnections of this site.",
    ),
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
    substatus: int = 0,
    *,
    detail: str,
    reason_phrase: str | None = None,
    extra_fields: Sequence[tuple[bytes, bytes]] = (),
    head_only: bool = False,
    keep_alive: bool = False,
    advice: str | None = None,
) -> bytes:
    """A complete response, ready to send.

    substatus: shown in the page as 403.4 is; the status line has none.
    detail, advice: sentences for people, as text; they are escaped here.
    extra_fields: (name, value), trusted: Date, Server, Retry-After and the like.
    head_only: the answer to HEAD, with the length that GET would have.
    """
    phrase, usual_advice = _PAGES.get(status, ("Error", "Look into the log of the proxy."))
    phrase = reason_phrase or phrase
    title = f"{status} {phrase}"
    if substatus:
        title = f"{status}.{substatus} {phrase}"
        what, usual_advice = SUBSTATUS.get((status, substatus), ("", usual_advice))
        title += f": {what}" if what else ""
    body = _TEMPLATE.format(
        title=escape(title),
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


def redirect_response(
    location: bytes,
    *,
    extra_fields: Sequence[tuple[bytes, bytes]] = (),
    head_only: bool = False,
    keep_alive: bool = False,
) -> bytes:
    """308 to `location`, which `SiteRules.check` made: method and body stay (RFC 9110 15.4.9)."""
    return error_response(
        308,
        detail="This site is for HTTPS only.",
        advice=f"Go on at {location.decode('ascii', 'replace')}.",
        extra_fields=((b"Location", location), *extra_fields),
        head_only=head_only,
        keep_alive=keep_alive,
    )


def body_size(response: bytes) -> int:
    """Bytes of body in what `error_response` made, for the log."""
    return len(response) - response.index(b"\r\n\r\n") - 4


def plain_http_response(
    host_header: bytes | None,
    port: int,
    path: bytes,
    *,
    extra_fields: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
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
    return error_response(
        400,
        detail="This port speaks HTTPS, and this was HTTP.",
        advice=advice,
        extra_fields=extra_fields,
    )
