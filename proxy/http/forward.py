"""Heads for the other side: what the proxy takes out, passes on and puts in.

Both builders write a whole head from the parsed one; no byte of framing is ever copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import quote

from kssl.proxy.http.messages import Field, Framing, RequestHead, ResponseHead
from kssl.proxy.http.names import END_TO_END, HARMLESS_OPTIONS, HOP_BY_HOP, is_forged
from kssl.proxy.http.policy import ResponsePolicy

_CRLF = b"\r\n"
# Looking up a member in the class takes 50 ns (Python 3.11).
_NONE = Framing.NONE
_LENGTH = Framing.LENGTH
_CHUNKED = Framing.CHUNKED
_CLOSE = Framing.CLOSE

# What stays as it is in the fields of our own. The rest is percent-encoded: a value may come from a
# client's certificate, and a line break in it would start a field of the client's choice.
_PRINTABLE = "".join(map(chr, range(32, 127)))

# What ends a response that passes as it came, by whether it is chunked and the connection stays.
_END = {
    (chunked, stays): b"Via: 1.1 kssl\r\n"
    + (b"Transfer-Encoding: chunked\r\n" if chunked else b"")
    + (b"" if stays else b"Connection: close\r\n")
    + _CRLF
    for chunked in (True, False)
    for stays in (True, False)
}

LAST_CHUNK = b"0\r\n\r\n"

# Sound only in a head of our own making: behind CRLF there is always a name.
_TRAILER_LINE = re.compile(rb"\r\n[Tt](?i:railer):[^\r]*+")


@dataclass(slots=True, frozen=True)
class ClientInfo:
    """Who sent the request. Make it once per connection: it renders its fields only once."""

    address: str
    """The client's IP address."""
    port: int
    """The client's TCP port; not told to the upstream."""
    scheme: str = "https"
    via: bytes = b"1.1 kssl"
    server_port: int = 443
    """The port that the client connected to, for X-Forwarded-Port."""
    own_fields: tuple[tuple[str, str], ...] = ()
    """Fields of the proxy's own, below X-Kssl-, such as the cipher; a client's are dropped."""
    certificate_fields: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """What `client_cert.certificate_fields` says of this client's certificate."""
    before_host: bytes = field(init=False, repr=False, compare=False)
    before_forwarded_host: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # A zone ("fe80::1%eth0") means nothing elsewhere, and a dual-stack socket writes IPv4
        # as ::ffff:a.b.c.d, which no application expects.
        address = self.address.partition("%")[0]
        if address.lower().startswith("::ffff:") and "." in address:
            address = address[7:]
        node = f'"[{address}]"' if ":" in address else address  # RFC 7239 section 6
        own = _shared_lines(self.own_fields) + _lines(self.certificate_fields)
        object.__setattr__(
            self,
            "before_host",
            f"{own}X-Forwarded-For: {address}\r\nX-Real-IP: {address}\r\n"
            f"X-Forwarded-Proto: {self.scheme}\r\nX-Forwarded-Port: {self.server_port}\r\n"
            "X-Forwarded-Host: ".encode(),
        )
        object.__setattr__(
            self,
            "before_forwarded_host",
            f'\r\nForwarded: for={node};proto={self.scheme};host="'.encode(),
        )


def _lines(fields: tuple[tuple[str, str], ...]) -> str:
    return "".join(f"{name}: {quote(value, safe=_PRINTABLE)}\r\n" for name, value in fields)


# A few combinations of version, cipher and engine. The fields of a certificate are one client's.
_shared_lines = lru_cache(maxsize=256)(_lines)


def build_upstream_request(
    head: RequestHead,
    client: ClientInfo,
    *,
    default_host: bytes = b"",
) -> bytes:
    """The head that the upstream gets, up to and with the empty line.

    default_host: for an HTTP/1.0 client that named none.

    Fields pass in their order and case, except: hop-by-hop ones and those that Connection
    nominates are removed (RFC 9110 section 7.6.1); X-Forwarded-*, X-Real-IP and Forwarded are
    replaced, never appended to, since what a client says there is not evidence; our name is
    appended to Via (section 7.6.3).
    """
    if head.fields.passed_on:
        host = head.host
        return b"".join(
            (
                head.fields.passed_on,
                b"Transfer-Encoding: chunked\r\nVia: " if head.chunked else b"Via: ",
                client.via,
                _CRLF,
                client.before_host,
                host,
                client.before_forwarded_host,
                host,
                b'"\r\n\r\n',
            )
        )
    out = [head.method, b" ", head.target, b" HTTP/1.1\r\n"]
    fields: Iterable[Field] = head.fields
    if not head.connection_options <= HARMLESS_OPTIONS:
        fields = [item for item in fields if item[0] not in head.connection_options]
    host = head.host
    via = b""
    host_sent = False
    for low, name, value in fields:
        if low in END_TO_END:
            out += (name, b": ", value, _CRLF)
        elif low == b"host":
            out += (name, b": ", value, _CRLF)
            host_sent = True
        elif low in HOP_BY_HOP:
            continue
        elif low == b"content-length":
            # One number of at most 19 digits, or request_rules had refused it.
            out += (name, b": ", value, _CRLF)
        elif low == b"via":
            via += value + b", "
        elif low == b"expect":
            # The parsed one: a client of HTTP/1.0 cannot wait for 100 (Continue).
            if head.expect_continue:
                out.append(b"Expect: 100-continue\r\n")
        elif low == b"trailer":
            if head.chunked:
                out += (name, b": ", value, _CRLF)
        elif not is_forged(low):
            out += (name, b": ", value, _CRLF)
    if not host_sent:
        host = host or default_host
        out += (b"Host: ", host, _CRLF)
    if head.chunked:
        out.append(b"Transfer-Encoding: chunked\r\n")
    if head.upgrade is not None:
        out += (b"Connection: upgrade\r\nUpgrade: ", head.upgrade, _CRLF)
    own_via = client.via if head.version == b"1.1" else client.via.replace(b"1.1", b"1.0", 1)
    out += (
        b"Via: ",
        via,
        own_via,
        _CRLF,
        client.before_host,
        host,
        client.before_forwarded_host,
        host,
        b'"\r\n\r\n',
    )
    return b"".join(out)


def without_trailer_field(head: bytes) -> bytes:
    """A head from `build_upstream_request` without Trailer, which announces trailers: for a request
    whose trailers are not passed on (RFC 9112 section 7.1.2)."""
    return _TRAILER_LINE.sub(b"", head)


def client_framing(
    head: ResponseHead, client_version: bytes, request_method: bytes
) -> tuple[Framing, bool]:
    """How the body goes to the client, and whether its connection may be kept after it.

    A body that ends with the upstream's connection is sent chunked, so that the client's can
    stay; a client of HTTP/1.0 knows no chunks and gets the close instead.
    """
    if request_method == b"HEAD":
        return _NONE, True
    framing = head.framing
    if framing is _LENGTH or framing is _NONE:
        return framing, True
    if client_version == b"1.0":
        return _CLOSE, False
    return _CHUNKED, True


def build_client_response(
    head: ResponseHead,
    *,
    client_version: bytes,
    keep_alive: bool,
    framing: Framing,
    interim: bool = False,
    policy: ResponsePolicy | None = None,
) -> bytes:
    """The head that the client gets, up to and with the empty line.

    framing: from client_framing. keep_alive: whether we will read another request.
    interim: a 1xx before the real response, which says nothing about the connection.
    policy: the site's.
    Raises ValueError for a chunked body to a client of HTTP/1.0.
    """
    status = head.status
    if (
        head.fields.passed_on
        and framing is head.framing
        and framing is not _CLOSE
        and client_version == b"1.1"
    ):
        if policy is not None:
            passed_on = policy.without(b"", head.fields.passed_on)
            return passed_on + policy.line + _END[framing is _CHUNKED, keep_alive]
        return head.fields.passed_on + _END[framing is _CHUNKED, keep_alive]
    out = [b"HTTP/1.1 %d %b\r\n" % (status, head.reason)]
    fields: Iterable[Field] = head.fields
    if head.connection_options and not head.connection_options <= HARMLESS_OPTIONS:
        fields = [item for item in fields if item[0] not in head.connection_options]
    if policy is not None:
        fields = [item for item in fields if item[0] not in policy.dropped]
    # None where RFC 9110 section 8.6 forbids it; without a body it only informs.
    length = head.content_length if framing is _LENGTH or framing is _NONE else None
    length_sent = False
    via = b""
    for low, name, value in fields:
        if low in END_TO_END:
            out += (name, b": ", value, _CRLF)
        elif low == b"content-length":
            # One number of at most 19 digits, or response_rules had refused it.
            if length is not None:
                out += (name, b": ", value, _CRLF)
                length_sent = True
        elif low in HOP_BY_HOP:
            continue
        elif low == b"via":
            via += value + b", "
        elif low != b"trailer" or framing is _CHUNKED:
            out += (name, b": ", value, _CRLF)
    if policy is not None and not (interim or status < 200):
        out.append(policy.line)
    out += (b"Via: ", via, head.version, b" kssl\r\n")
    if framing is _CHUNKED:
        if client_version == b"1.0":
            raise ValueError("a client of HTTP/1.0 cannot read chunks")
        out.append(b"Transfer-Encoding: chunked\r\n")
    elif framing is _LENGTH and not length_sent:
        # Connection nominated it, in vain.
        out.append(b"Content-Length: %d\r\n" % (length or 0))
    stays = keep_alive and framing is not _CLOSE
    if head.upgrade is not None and client_version == b"1.1":
        # 101 or 426. Whoever sends Upgrade sends the option too (RFC 9110 section 7.8).
        option = b"upgrade" if stays or status == 101 else b"upgrade, close"
        out += (b"Connection: ", option, b"\r\nUpgrade: ", head.upgrade, _CRLF)
    elif not (interim or status < 200):
        if not stays:
            out.append(b"Connection: close\r\n")
        elif client_version == b"1.0":
            out.append(b"Connection: keep-alive\r\n")
    out.append(_CRLF)
    return b"".join(out)


def encode_chunks(pieces: Sequence[memoryview]) -> bytes:
    """All `pieces` as one chunk (what came together goes together); b"" when they are empty."""
    size = sum(map(len, pieces))
    return b"".join((b"%x\r\n" % size, *pieces, _CRLF)) if size else b""


def last_chunk(trailers: Sequence[Field] = ()) -> bytes:
    """The end of a chunked body (RFC 9112 section 7.1), with the trailers of its reader."""
    if not trailers:
        return LAST_CHUNK
    lines = b"".join(name + b": " + value + _CRLF for _, name, value in trailers)
    return b"0\r\n" + lines + _CRLF
