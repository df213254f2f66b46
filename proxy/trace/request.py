"""What `kssl trace` asks for: the app's address, and one request, as typed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import h11

from kssl.config.errors import ConfigError, reason
from kssl.config.target import Target, parse_target

# What RFC 3986 allows in a path and a query; anything else is percent-encoded.
_ALLOWED = "/?:@!$&'()*+,;=-._~%[]"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PIECE = b"kssl" * (64 * 1024)  # 256 KiB of a body of which only the size was told
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}
_MAX_SIZE = 2**40  # bytes; a slip of the finger, not a limit of the proxy

_METHODS_THAT_READ = ("GET", "HEAD", "OPTIONS", "TRACE")


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Its body is ``data``, or ``size`` bytes that mean nothing."""

    method: str
    path: str  # with its query
    headers: tuple[tuple[str, str], ...]
    data: bytes = b""
    size: int = 0

    @property
    def length(self) -> int:
        return len(self.data) or self.size

    @property
    def only_reads(self) -> bool:
        """RFC 9110 §9.2.1: it may be sent more than once."""
        return self.method in _METHODS_THAT_READ

    def pieces(self) -> Iterator[bytes]:
        if self.data:
            yield self.data
            return
        left = self.size
        while left:
            yield _PIECE[: min(left, len(_PIECE))]
            left -= min(left, len(_PIECE))

    def warm_up(self) -> Request:
        """What is sent before it on the same connection, and changes nothing in the app."""
        if self.only_reads and not self.length and self.method != "HEAD":
            return self
        kept = tuple(field for field in self.headers if field[0].lower() in _FOR_EVERY_REQUEST)
        return Request("GET", self.path, kept)

    def head(self) -> h11.Request:
        """Raises h11.LocalProtocolError for a method or header that cannot be sent."""
        fields = list(self.headers)
        names = {name.lower() for name, _ in fields}
        if (self.length or self.method in ("POST", "PUT")) and "content-length" not in names:
            fields.append(("Content-Length", str(self.length)))
        return h11.Request(method=self.method, target=self.path, headers=fields)


_FOR_EVERY_REQUEST = ("host", "user-agent", "accept", "authorization", "cookie")


def parse_url(text: str) -> tuple[Target, str]:
    """The app, and the path with its query; a missing path is "/".

    Raises:
        ConfigError: not an address of an app.
    """
    text = text.strip().partition("#")[0]
    if text.lower().startswith("https://"):
        raise ConfigError(
            f"{text!r}: give the app's own address, such as http://127.0.0.1:8000/path, not the "
            "proxy's; kssl trace puts a proxy of its own in front of it, and cannot watch an app "
            "that speaks TLS itself"
        )
    if text.lower().startswith("unix:"):
        return parse_target(text), "/"
    scheme = _SCHEME.match(text)
    start = scheme.end() if scheme else 0
    end = min((at for mark in "/?" if (at := text.find(mark, start)) >= 0), default=len(text))
    return parse_target(text[:end]), clean_path(text[end:])


def clean_path(text: str) -> str:
    """A path as it goes into a request line: absolute, percent-encoded."""
    return quote(text if text.startswith("/") else f"/{text}", safe=_ALLOWED)


def make_request(
    target: Target | None,
    path: str,
    *,
    method: str | None,
    headers: Sequence[str] = (),
    data: str | None = None,
    size: str | None = None,
) -> Request:
    """Raises ConfigError for what cannot be sent. ``target`` None: the demo app."""
    if data is not None and size is not None:
        raise ConfigError("--data and --size: give one of them")
    body = b"" if data is None else _data(data)
    length = 0 if size is None else _size(size)
    fields = [("Host", "localhost" if target is None else target.netloc)]
    fields += [("User-Agent", "kssl-trace"), ("Accept", "*/*")]
    if data is not None:
        fields.append(("Content-Type", "application/x-www-form-urlencoded"))
    elif size is not None:
        fields.append(("Content-Type", "application/octet-stream"))
    for given in headers:
        name, colon, value = given.partition(":")
        if not colon:
            raise ConfigError(f"-H {given!r} is not a header; write 'Name: value'")
        if name.lower() in ("content-length", "transfer-encoding", "expect", "connection"):
            raise ConfigError(f"-H {given!r}: kssl trace sets the framing itself")
        fields = [field for field in fields if field[0].lower() != name.lower()]
        fields.append((name, value.strip()))
    if method is None:
        method = "GET" if data is None and size is None else "POST"
    request = Request(method, path, tuple(fields), body, length)
    try:
        request.head()
    except (h11.LocalProtocolError, UnicodeEncodeError) as error:
        raise ConfigError(f"that cannot be sent: {error}") from None
    return request


def _data(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise ConfigError(f"--data: cannot read {text[1:]}: {reason(error)}") from None


def _size(text: str) -> int:
    """``4096``, ``10K``, ``10KiB``, ``1M``; powers of 1024."""
    number = text.upper().removesuffix("B").removesuffix("I")
    unit = number[-1:] if number[-1:] in ("K", "M", "G") else ""
    digits = number.removesuffix(unit)
    size = int(digits) * _UNITS[unit] if digits.isascii() and digits.isdigit() else -1
    if not 0 <= size <= _MAX_SIZE:
        raise ConfigError(f"--size {text!r} is not a size; write bytes, or 10K, 10M, 1G")
    return size
