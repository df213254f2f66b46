"""What the first bytes on a port with TLS are: a ClientHello, or what else a peer may say there.

    look(first bytes so far) → Preface.TLS, PLAIN_HTTP, MORE, or a Refusal with words for the logs

No I/O. Whatever no hello can follow is told at once, so that nobody waits for a time limit.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

from kssl.fastpath.tls.errors import Alert
from kssl.fastpath.tls.legacy import NEED_MORE, SSL2_FORMAT_HELLO, recognise
from kssl.proxy.frontend.proxy_header import proxy_header_version
from kssl.proxy.http.pages import plain_http_response
from kssl.proxy.journal.httperr import HANDSHAKE

_TLS_HANDSHAKE = 0x16  # ContentType of a ClientHello's record (RFC 9846 §5.1)

# Of all TLS records: no HTTP request and no hello of another age begins with such a byte.
_CONTENT_TYPES = range(20, 27)

# Hellos of protocols before TLS begin with a byte from here on: their records' length.
_LEGACY = 0x80

# A client that speaks plain HTTP to the TLS port: method, target, and Host if it is there.
_PLAIN_HTTP = re.compile(rb"[A-Z]{3,20} (\S{1,2048}) HTTP/1\.[01]\r?\n", re.ASCII)
_HOST = re.compile(rb"\r?\nhost:[ \t]*(\S{1,255})[ \t]*\r?\n", re.ASCII | re.IGNORECASE)
_METHOD_BEGINS = re.compile(rb"[A-Z]{1,20}( |\Z)", re.ASCII)
_MAX_PLAIN_HEAD = 8192  # bytes looked at before the answer is sent all the same


class Preface(Enum):
    MORE = auto()
    """More bytes are needed to tell."""
    TLS = auto()
    """The record of a ClientHello begins."""
    PLAIN_HTTP = auto()
    """A whole head of an HTTP request, or more than that should take: `answer_plain_http`."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The connection ends. ``kind``, ``what``: of the message in the log; ``reason``,
    ``first_line``: of the line in the HTTPERR log; ``alert``: for a peer that knows TLS."""

    kind: str
    what: str
    reason: str
    first_line: bytes = b""
    alert: Alert | None = None


def look(first: bytes) -> Preface | Refusal:
    """Return what a connection is that begins with ``first``, which is not empty."""
    byte = first[0]
    if byte == _TLS_HANDSHAKE:
        return Preface.TLS
    if byte in _CONTENT_TYPES:
        what = f"a TLS record of type {byte} in place of a ClientHello"
        return Refusal(HANDSHAKE, what, HANDSHAKE, alert=Alert.UNEXPECTED_MESSAGE)
    if byte >= _LEGACY:
        return _legacy(first)
    version = proxy_header_version(first)
    if version:
        return Refusal(
            "PROXY protocol",
            f"a PROXY protocol header (version {version}), which this port does not take: have the "
            "load balancer send none (send-proxy, proxy_protocol)",
            "BadRequest",
            first.partition(b"\r\n")[0],
        )
    if _METHOD_BEGINS.match(first):
        whole = b"\n\r\n" in first or b"\n\n" in first or len(first) >= _MAX_PLAIN_HEAD
        return Preface.PLAIN_HTTP if whole else Preface.MORE
    return _NOT_OURS if version is None else Preface.MORE


def _legacy(first: bytes) -> Preface | Refusal:
    """A hello of SSL 2.0 or PCT 1.0, or in their format."""
    word = recognise(first)
    if word == NEED_MORE:
        return Preface.MORE
    if word is None:
        return _NOT_OURS
    # One in SSL 2.0's format knows TLS, and so its alerts.
    alert = Alert.PROTOCOL_VERSION if word == SSL2_FORMAT_HELLO else None
    return Refusal(word, f"{word}: no protocol before TLS 1.2 is spoken here", word, alert=alert)


_NOT_OURS = Refusal("BadRequest", "bytes that are neither TLS nor HTTP", "BadRequest")


def answer_plain_http(
    first: bytes, port: int, extra_fields: Sequence[tuple[bytes, bytes]]
) -> tuple[bytes, bytes]:
    """Return the page that names the https URL, and the request line for the logs. ``port``: of
    this listener."""
    request, host = _PLAIN_HTTP.match(first), _HOST.search(first)
    page = plain_http_response(
        host[1] if host else None,
        port,
        request[1] if request else b"/",
        extra_fields=extra_fields,
    )
    return page, first.partition(b"\n")[0].rstrip(b"\r")
