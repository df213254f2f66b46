"""What a server agrees to, read from what was sent to the client. Sans-I/O.

pyOpenSSL does not tell which extensions were agreed to. They stand in the ServerHello, and in
TLS 1.3 most of them in EncryptedExtensions.
"""

from __future__ import annotations

SERVER_HELLO, ENCRYPTED_EXTENSIONS = 2, 8  # HandshakeType (RFC 9846 §4)

_RECORD_HEADER = 5  # bytes
_HEADER = 4  # bytes: type, 24-bit length
_VERSION_AND_RANDOM = 2 + 32  # RFC 9846 §4.2.3
_SUITE_AND_COMPRESSION = 2 + 1

# The random of a ServerHello that is a HelloRetryRequest (RFC 9846 §4.2.4).
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")


def asks_again(flight: bytes) -> bool:
    """Return whether a server's first flight begins with a HelloRetryRequest."""
    random = _RECORD_HEADER + _HEADER + 2
    return flight[random : random + len(_RETRY)] == _RETRY


def extensions(message: bytes) -> dict[int, bytes]:
    """Return what a ServerHello or EncryptedExtensions agrees to: ExtensionType → content."""
    at = _HEADER
    if message[:1] == bytes((SERVER_HELLO,)):
        at = _vector(message, at + _VERSION_AND_RANDOM, 1)[1] + _SUITE_AND_COMPRESSION
    elif message[:1] != bytes((ENCRYPTED_EXTENSIONS,)):
        return {}
    listed, _ = _vector(message, at, 2)
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(listed):
        extension = int.from_bytes(listed[at : at + 2], "big")
        found[extension], at = _vector(listed, at + 2, 2)
    return found


def _vector(data: bytes, at: int, size: int) -> tuple[bytes, int]:
    """Return what stands at ``at`` behind its length of ``size`` bytes, and where it ends; cut
    short: b"", and the end of ``data``."""
    start = at + size
    end = start + int.from_bytes(data[at:start], "big")
    return (data[start:end], end) if end <= len(data) else (b"", len(data))
