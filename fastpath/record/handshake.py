"""Reassembly of post-handshake messages, of which KeyUpdate alone is accepted.

From a client, TLS 1.3 has no other one that we asked for: NewSessionTicket goes the other way, and
post-handshake authentication is never requested. So the buffer never exceeds the five bytes of a
KeyUpdate, whatever length a header claims. And since a KeyUpdate must end its record (RFC 9846
§5.1), a record completes one message at most: two that are coalesced are an error by themselves.
"""

from __future__ import annotations

from fastpath.errors import Alert, PeerMisbehaved

KEY_UPDATE = 24
"""HandshakeType (RFC 9846 §4)."""

_HEADER = bytes((KEY_UPDATE, 0, 0, 1))  # msg_type, uint24 length
_MESSAGE_LENGTH = len(_HEADER) + 1


class PostHandshake:
    """The handshake stream of the peer: fragments in, KeyUpdates out."""

    __slots__ = ("_partial",)

    def __init__(self) -> None:
        self._partial = b""

    @property
    def inside_message(self) -> bool:
        """Whether a message has begun: then only handshake records may follow (RFC 9846 §5.1)."""
        return bool(self._partial)

    def feed(self, fragment: bytes) -> bool | None:
        """Take the content of one handshake record.

        Returns None while the KeyUpdate is incomplete, else whether the peer requests ours.
        Raises PeerMisbehaved: unexpected_message (empty, another message, bytes behind it),
        decode_error (length), illegal_parameter (value of request_update).
        """
        if not fragment:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "an empty handshake record")
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
