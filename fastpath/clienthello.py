"""The ClientHello, read far enough to know whom the client wants and what it offers. Sans-I/O.

OpenSSL reads it too, but tells the name only after it has looked for a session to resume. So the
certificate and the session-ID context are chosen by this reader, before OpenSSL has the message.
It never raises: what makes no sense here is refused by OpenSSL, with the right alert.
"""

from __future__ import annotations

from dataclasses import dataclass

_HANDSHAKE = 22  # content type, RFC 8446 §5.1
_RECORD_HEADER_SIZE = 5
_CLIENT_HELLO = 1  # handshake type, RFC 8446 §4
_MESSAGE_HEADER_SIZE = 4  # type, 24-bit length
_VERSION_AND_RANDOM = 2 + 32  # RFC 8446 §4.1.2
_SERVER_NAME, _HOST_NAME = 0, 0  # extension and name type, RFC 6066 §3


@dataclass(frozen=True, slots=True)
class ClientHello:
    """``server_name`` as it was sent, b"" without one; ``cipher_suites``: two bytes each."""

    server_name: bytes = b""
    cipher_suites: bytes = b""

    @property
    def host_name(self) -> str:
        """The name in lower case and without its final dot; "" for none or one that is no ASCII.

        Names that are not ASCII go over the wire as A-labels (RFC 6066 §3).
        """
        if not self.server_name.isascii():
            return ""
        return self.server_name.decode("ascii").lower().removesuffix(".")


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
    """The message behind its header (RFC 8446 §4.1.2)."""
    session_id, at = _vector(body, _VERSION_AND_RANDOM, 1)
    suites, at = _vector(body, at, 2)
    compression, at = _vector(body, at, 1)
    if session_id is None or suites is None or compression is None:
        return ClientHello()
    extensions, _ = _vector(body, at, 2)
    return ClientHello(_server_name(extensions or b""), suites)


def _server_name(extensions: bytes) -> bytes:
    at = 0
    while at + 4 <= len(extensions):
        kind = int.from_bytes(extensions[at : at + 2], "big")
        content, at = _vector(extensions, at + 2, 2)
        if content is None:
            return b""
        if kind == _SERVER_NAME:
            # A list with one entry: a second host name is not allowed, other types do not exist.
            names, _ = _vector(content, 0, 2)
            if not names or names[0] != _HOST_NAME:
                return b""
            return _vector(names, 1, 2)[0] or b""
    return b""


def _vector(data: bytes, at: int, size: int) -> tuple[bytes | None, int]:
    """What stands at ``at`` behind its length of ``size`` bytes, and where the next thing is.
    None if it is cut short."""
    start = at + size
    end = start + int.from_bytes(data[at:start], "big")
    if start > len(data) or end > len(data):
        return None, len(data)
    return data[start:end], end
