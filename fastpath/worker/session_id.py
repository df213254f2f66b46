"""Which session a client was given, read from what was sent to it. Sans-I/O.

pyOpenSSL does not tell a session's id. It stands in the ServerHello (TLS 1.2), or is the ticket in
NewSessionTicket: without RFC 5077 tickets (OP_NO_TICKET) OpenSSL sends the key of its session cache
there (checked with OpenSSL 4.0).
"""

from __future__ import annotations

from kssl.fastpath.tls.clienthello import MAX_SESSION_ID

_HANDSHAKE, _SERVER_HELLO = 22, 2  # content and message type
_HELLO = 5  # bytes in front of the message: the record's header
_HELLO_ID = _HELLO + 4 + 2 + 32  # and the message's, version, random (RFC 5246 §7.4.1.3)

_TICKET_NONCE = 4 + 4 + 4  # header, ticket_lifetime, ticket_age_add (RFC 9846 §4.7.1)


def of_server_hello(flight: bytes) -> bytes:
    """``flight``: all that the server has sent, in plaintext at its beginning. b"" if it does not
    begin with a ServerHello, or the session cannot be resumed."""
    if flight[:1] != bytes((_HANDSHAKE,)) or flight[_HELLO : _HELLO + 1] != bytes((_SERVER_HELLO,)):
        return b""
    return _vector(flight, _HELLO_ID, 1)


def of_ticket(message: bytes) -> bytes:
    """``message``: NewSessionTicket with its header. b"" if it has none, or one that is longer than
    a session id."""
    nonce = int.from_bytes(message[_TICKET_NONCE : _TICKET_NONCE + 1], "big")
    return _vector(message, _TICKET_NONCE + 1 + nonce, 2)


def _vector(data: bytes, at: int, size: int) -> bytes:
    start = at + size
    length = int.from_bytes(data[at:start], "big")
    found = data[start : start + length]
    return found if len(found) == length <= MAX_SESSION_ID else b""
