"""What comes as handshake records behind the handshake, put together again.

TLS 1.3 has KeyUpdate, and towards a client NewSessionTicket (`PostHandshake`):

| from a | KeyUpdate | NewSessionTicket | any other message |
|---|---|---|---|
| client | returned | unexpected_message | unexpected_message |
| server | returned | taken and dropped | unexpected_message |

Post-handshake authentication is never offered, so there is no CertificateRequest to expect.

Nothing is kept of a ticket's body, only how much of it is still to come: no session is resumed
towards upstreams. So the buffer never exceeds the header of a ticket or the five bytes of a
KeyUpdate, whatever length a header claims. Tickets may share a record, or be spread over several.
But a KeyUpdate must end its record (RFC 9846 §5.1), so a record completes one of them at most: two
that are coalesced are an error by themselves.

In TLS 1.2 a message is an attempt to renegotiate (`Renegotiation`): a ClientHello from a client, a
HelloRequest from a server. Nothing is kept of either.
"""

from __future__ import annotations

from kssl.fastpath.record.wire import MAX_CLIENT_HELLO_LENGTH, MAX_TICKET_LENGTH, MIN_TICKET_LENGTH
from kssl.fastpath.tls.errors import Alert, PeerMisbehaved

HELLO_REQUEST, CLIENT_HELLO = 0, 1
"""HandshakeTypes (RFC 5246 §7.4)."""

NEW_SESSION_TICKET = 4
"""HandshakeType (RFC 9846 §4)."""

KEY_UPDATE = 24
"""HandshakeType (RFC 9846 §4)."""

_HEADER = bytes((KEY_UPDATE, 0, 0, 1))  # msg_type, uint24 length
_MESSAGE_LENGTH = len(_HEADER) + 1


class PostHandshake:
    """The handshake stream of the peer: fragments in, KeyUpdates out.

    `client`: we are the client, so the peer may send tickets. `tickets`: how many of them began;
    whoever limits their number may set it back.
    """

    __slots__ = ("_client", "_partial", "_to_drop", "tickets")

    def __init__(self, client: bool = False) -> None:
        self._client = client
        self._partial = b""
        self._to_drop = 0  # bytes of a ticket's body that are still to come
        self.tickets = 0

    @property
    def inside_message(self) -> bool:
        """Whether a message has begun: then only handshake records may follow (RFC 9846 §5.1)."""
        return bool(self._partial) or self._to_drop > 0

    def feed(self, fragment: bytes) -> bool | None:
        """Take the content of one handshake record.

        Returns None if it completes no KeyUpdate, else whether the peer requests ours.
        Raises PeerMisbehaved: unexpected_message (empty, another message, bytes behind a
        KeyUpdate), decode_error (length), illegal_parameter (value of request_update).
        """
        if not fragment:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "an empty handshake record")
        if self._client:
            fragment = self._without_tickets(fragment)
            if not fragment:
                return None
        message = self._partial + fragment
        if message[0] != KEY_UPDATE:
            raise PeerMisbehaved(
                Alert.UNEXPECTED_MESSAGE, f"handshake message {message[0]} after the handshake"
            )
        if not _HEADER.startswith(message[: len(_HEADER)]):
            raise PeerMisbehaved(Alert.DECODE_ERROR, "a KeyUpdate of the wrong length")
        if len(message) < _MESSAGE_LENGTH:
            self._partial = message
            return None
        request = message[len(_HEADER)]
        if request > 1:
            # Well-formed, but no value of the enum: RFC 9846 §4.7.3 has this alert for it.
            raise PeerMisbehaved(Alert.ILLEGAL_PARAMETER, f"KeyUpdate request {request}")
        if len(message) > _MESSAGE_LENGTH:
            raise PeerMisbehaved(
                Alert.UNEXPECTED_MESSAGE, "a KeyUpdate must be the last in its record"
            )
        self._partial = b""
        return request == 1

    def _without_tickets(self, fragment: bytes) -> bytes:
        """What is in `fragment` behind the tickets that it begins with; b"" is nothing."""
        position = min(self._to_drop, len(fragment))
        self._to_drop -= position
        while position < len(fragment):
            first = self._partial or fragment[position : position + 1]
            if first[0] != NEW_SESSION_TICKET:
                return fragment[position:]
            missing = len(_HEADER) - len(self._partial)
            header = self._partial + fragment[position : position + missing]
            position += missing
            if len(header) < len(_HEADER):
                self._partial = header
                return b""
            self._partial = b""
            length = int.from_bytes(header[1:], "big")
            if not MIN_TICKET_LENGTH <= length <= MAX_TICKET_LENGTH:
                raise PeerMisbehaved(Alert.DECODE_ERROR, f"a NewSessionTicket of {length} bytes")
            self.tickets += 1
            dropped = min(length, len(fragment) - position)
            self._to_drop = length - dropped
            position += dropped
        return b""


class Renegotiation:
    """The handshake stream of a peer in TLS 1.2: fragments in, a number of refusals out.

    `client`: we are the client. `refused`: how many attempts were completed.
    """

    __slots__ = ("_limit", "_partial", "_to_drop", "_type", "refused")

    def __init__(self, client: bool = False) -> None:
        self._type, self._limit = HELLO_REQUEST, 0
        if not client:
            self._type, self._limit = CLIENT_HELLO, MAX_CLIENT_HELLO_LENGTH
        self._partial = b""  # of a header
        self._to_drop = 0  # bytes of a body that are still to come
        self.refused = 0

    @property
    def inside_message(self) -> bool:
        """Whether a message has begun: then only handshake records may follow."""
        return bool(self._partial) or self._to_drop > 0

    def feed(self, fragment: bytes) -> None:
        """Take the content of one handshake record.

        Raises PeerMisbehaved: unexpected_message (empty, another message), decode_error (length).
        """
        if not fragment:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "an empty handshake record")
        position = 0
        while position < len(fragment):
            if not self._to_drop:
                missing = len(_HEADER) - len(self._partial)
                header = self._partial + fragment[position : position + missing]
                position += missing
                if header[0] != self._type:
                    raise PeerMisbehaved(
                        Alert.UNEXPECTED_MESSAGE,
                        f"handshake message {header[0]} after the handshake",
                    )
                if len(header) < len(_HEADER):
                    self._partial = header
                    return
                self._partial = b""
                self._to_drop = int.from_bytes(header[1:], "big")
                if self._to_drop > self._limit:
                    raise PeerMisbehaved(Alert.DECODE_ERROR, f"a hello of {self._to_drop} bytes")
            dropped = min(self._to_drop, len(fragment) - position)
            self._to_drop -= dropped
            position += dropped
            if not self._to_drop:
                self.refused += 1
