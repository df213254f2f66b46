"""The ClientHello, read far enough to know whom the client wants and what it offers. Sans-I/O.

OpenSSL reads it too, but tells the name only after it has looked for a session to resume. So the
certificate and the session-ID context are chosen by this reader, before OpenSSL has the message.
The front end reads the sessions that it offers, to find the worker that has one of them.
It never raises: what makes no sense here is refused by OpenSSL, with the right alert.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from kssl.fastpath.tls.fragment import MAX_FRAGMENT_LENGTH

_HANDSHAKE = 22  # content type, RFC 9846 §5.1
_RECORD_HEADER_SIZE = 5
_CLIENT_HELLO = 1  # handshake type, RFC 9846 §4
_MESSAGE_HEADER_SIZE = 4  # type, 24-bit length
_VERSION_AND_RANDOM = 2 + 32  # RFC 9846 §4.2.2
_SERVER_NAME, _HOST_NAME = 0, 0  # extension and name type, RFC 6066 §3
_MAX_FRAGMENT_LENGTH_OF_1 = struct.pack(">HH", MAX_FRAGMENT_LENGTH, 1)  # type, length
_PRE_SHARED_KEY = 41  # extension type, RFC 9846 §4.3

MAX_SESSION_ID = 32  # bytes, RFC 5246 §7.4.1.2; OpenSSL's stateful tickets have as many
_MAX_IDENTITIES = 4  # of one hello: clients offer one or two
_AGE = 4  # bytes behind each identity: obfuscated_ticket_age, RFC 9846 §4.3.11


@dataclass(frozen=True, slots=True)
class ClientHello:
    """``server_name`` as it was sent, b"" without one; ``cipher_suites``: two bytes each.

    ``legacy_session_id`` and ``extensions`` as they were sent: they are looked into when
    `session_ids` is asked for, and no text of this object tells them.
    """

    server_name: bytes = b""
    cipher_suites: bytes = b""
    legacy_session_id: bytes = field(default=b"", repr=False)
    extensions: bytes = field(default=b"", repr=False, compare=False)

    @property
    def host_name(self) -> str:
        """The name in lower case and without its final dot; "" for none or one that is no ASCII.

        Names that are not ASCII go over the wire as A-labels (RFC 6066 §3).
        """
        if not self.server_name.isascii():
            return ""
        return self.server_name.decode("ascii").lower().removesuffix(".")

    @property
    def max_fragment_length(self) -> bytes:
        """The content of that extension, one byte; b"" without one (RFC 6066 §4)."""
        # All have the same beginning, and to look for it is quicker than to walk through the rest.
        if _MAX_FRAGMENT_LENGTH_OF_1 not in self.extensions:
            return b""
        return _extension(self.extensions, MAX_FRAGMENT_LENGTH)

    @property
    def session_ids(self) -> tuple[bytes, ...]:
        """The sessions that the client would like to resume, of 1 to 32 bytes each: its
        legacy_session_id (TLS 1.2; in TLS 1.3 most often just random bytes), then the first four
        identities of its pre_shared_key (RFC 9846 §4.3.11) that are not longer. What is longer
        is no session of OpenSSL's cache."""
        own = self.legacy_session_id
        ids = [own] if 0 < len(own) <= MAX_SESSION_ID else []
        return (*ids, *_identities(self.extensions))


class ClientHelloReader:
    """Takes the records of one client until the ClientHello is whole; it may be in pieces."""

    __slots__ = ("_message",)

    def __init__(self) -> None:
        self._message = b""

    def add(self, record: bytes) -> ClientHello | None:
        """``record``: whole, with its header. None: the message is not whole yet."""
        if not record or record[0] != _HANDSHAKE:
            return None  # nothing that could start a handshake; OpenSSL decides what it is
        self._message += record[_RECORD_HEADER_SIZE:]
        message = self._message
        if len(message) < _MESSAGE_HEADER_SIZE:
            return None
        end = _MESSAGE_HEADER_SIZE + int.from_bytes(message[1:4], "big")
        if len(message) < end and message[0] == _CLIENT_HELLO:
            return None
        self._message = b""
        if message[0] != _CLIENT_HELLO:
            return ClientHello()
        return parse(message[_MESSAGE_HEADER_SIZE:end])


def parse(body: bytes) -> ClientHello:
    """The message behind its header (RFC 9846 §4.2.2)."""
    session_id, at = _vector(body, _VERSION_AND_RANDOM, 1)
    suites, at = _vector(body, at, 2)
    compression, at = _vector(body, at, 1)
    if session_id is None or suites is None or compression is None:
        return ClientHello()
    extensions, _ = _vector(body, at, 2)
    extensions = extensions or b""
    return ClientHello(_server_name(extensions), suites, session_id, extensions)


def _server_name(extensions: bytes) -> bytes:
    # A list with one entry: a second host name is not allowed, other types do not exist.
    names, _ = _vector(_extension(extensions, _SERVER_NAME), 0, 2)
    if not names or names[0] != _HOST_NAME:
        return b""
    return _vector(names, 1, 2)[0] or b""


def _identities(extensions: bytes) -> list[bytes]:
    """Of pre_shared_key, as many as `ClientHello.session_ids` tells."""
    offered, _ = _vector(_extension(extensions, _PRE_SHARED_KEY), 0, 2)
    found: list[bytes] = []
    at = 0
    while offered and at < len(offered) and len(found) < _MAX_IDENTITIES:
        identity, at = _vector(offered, at, 2)
        at += _AGE
        if identity and len(identity) <= MAX_SESSION_ID:
            found.append(identity)
    return found


def _extension(extensions: bytes, wanted: int) -> bytes:
    """The content of the first one of that type; b"" without one, or if it is cut short."""
    at = 0
    while at + 4 <= len(extensions):
        kind = int.from_bytes(extensions[at : at + 2], "big")
        content, at = _vector(extensions, at + 2, 2)
        if content is None:
            return b""
        if kind == wanted:
            return content
    return b""


def _vector(data: bytes, at: int, size: int) -> tuple[bytes | None, int]:
    """What stands at ``at`` behind its length of ``size`` bytes, and where the next thing is.
    None if it is cut short."""
    start = at + size
    end = start + int.from_bytes(data[at:start], "big")
    if start > len(data) or end > len(data):
        return None, len(data)
    return data[start:end], end
