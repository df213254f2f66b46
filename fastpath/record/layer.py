"""`RecordLayer`: both directions of one established connection, and the protocol between them.

What each record that a peer sends does:

| content | TLS 1.3 | TLS 1.2 |
|---|---|---|
| application data | to the caller | to the caller |
| change_cipher_spec, unknown types | unexpected_message | unexpected_message |
| alert close_notify | ends reading, no error | ends reading, no error |
| alert user_canceled | ignored, 4 in a row | as its level says |
| any other alert | ends the connection | fatal: the same; warning: ignored, 4 in a row |
| handshake KeyUpdate | new read key, answered if asked | unexpected_message |
| handshake NewSessionTicket, to a client | dropped, 32 in a row | unexpected_message |
| handshake ClientHello, to a server | unexpected_message | refused: no_renegotiation, 4 of them |
| handshake HelloRequest, to a client | unexpected_message | refused: no_renegotiation, 4 of them |
| any other handshake message | unexpected_message | unexpected_message |

An error ends both directions: its alert is sealed, and no byte after it is read or written.
"""

from __future__ import annotations

from kssl.fastpath.net.quantum import PROTOCOL_RECORD, RECORDS
from kssl.fastpath.record.handshake import PostHandshake, Renegotiation
from kssl.fastpath.record.opener import NO_DATA, make_opener
from kssl.fastpath.record.sealer import make_sealer
from kssl.fastpath.record.wire import (
    MAX_KEY_UPDATES,
    MAX_RENEGOTIATIONS,
    MAX_TICKETS,
    MAX_WARNING_ALERTS,
    AlertLevel,
    ContentType,
)
from kssl.fastpath.tls.errors import (
    Alert,
    ApiMisused,
    KeyLimitReached,
    PeerAlert,
    PeerMisbehaved,
    TlsError,
)
from kssl.fastpath.tls.keys import ConnectionKeys

_DATA = int(ContentType.APPLICATION_DATA)


class RecordLayer:
    """Both directions of one established connection.

    `pending`: what the last `receive` left, an incomplete record or more; the caller puts it in
    front of the next data. `more`: the quantum (`kssl.fastpath.net.quantum`) ended in front of it;
    the caller should go on with it before it reads anything more, but after everybody else.
    `outgoing`: sealed alerts and handshake messages, which the owner sends before anything it seals
    later, and clears. `peer_closed`: close_notify came, nothing more is read. `closed`: we sent
    close_notify or an error alert, nothing more may be sealed. `error`: why the connection ended;
    its alert is in `outgoing` already, unless the alert is the peer's own.
    """

    __slots__ = (
        "_answer_waiting",
        "_client",
        "_data_at_last_check",
        "_key_updates",
        "_max_fragment",
        "_opener",
        "_post_handshake",
        "_reading",
        "_renegotiation",
        "_sealer",
        "_update_requested",
        "_warnings",
        "closed",
        "error",
        "more",
        "outgoing",
        "peer_closed",
        "pending",
        "suite",
    )

    def __init__(self, keys: ConnectionKeys) -> None:
        self.suite = keys.suite
        self._max_fragment = keys.max_fragment
        self._client = keys.client
        self.pending = b""
        self.more = False
        self.outgoing = bytearray()
        self.peer_closed = False
        self.closed = False
        self.error: TlsError | None = None
        self._reading = True
        self._opener = make_opener(keys.suite, keys.read, keys.max_fragment)
        self._sealer = make_sealer(keys.suite, keys.write, keys.max_fragment)
        self._post_handshake = PostHandshake(keys.client)
        self._renegotiation = Renegotiation(keys.client)
        self._warnings = 0
        self._key_updates = 0
        self._data_at_last_check = 0
        self._answer_waiting = False
        self._update_requested = False

    @property
    def records_opened(self) -> int:
        """Records opened by this object."""
        return self._opener.records

    @property
    def records_sealed(self) -> int:
        """Records sealed by this object."""
        return self._sealer.records

    @property
    def keys(self) -> ConnectionKeys:
        """The keys and sequence numbers of the next records, to go on elsewhere."""
        read, write = self._opener.keys, self._sealer.keys
        return ConnectionKeys(self.suite, read, write, self._client, self._max_fragment)

    # Reading

    def receive(self, data: memoryview, out: memoryview, quantum: int = RECORDS) -> int:
        """Open the complete records in `data` and write their application data to `out`.

        `data` starts at a record boundary: `pending`, then the new bytes. `len(out)` must be at
        least `len(data)`. Returns the number of plaintext bytes; what lies behind them in `out` is
        scratch. Stops after `quantum` records: see `more`. Never raises for what the peer did:
        see `error`. The plaintext in front of a bad record is returned. After an error or
        close_notify it returns 0 and drops the input.
        """
        if not self._reading:
            return 0
        if len(out) < len(data):
            raise ApiMisused("receive: `out` must be as long as `data`")
        opener = self._opener
        opener.position = opener.written = 0
        opener.quantum = quantum
        try:
            while (content_type := opener.open_records(data, out)) is not None:
                if not self._protocol_record(content_type, opener.content):
                    self.more = False
                    return opener.written
        except TlsError as error:
            self._fail(error)
            return opener.written
        position = opener.position
        if position == len(data):
            if self.pending:
                self.pending = b""
                self.more = False
        else:
            self.pending = bytes(data[position:])
            self.more = opener.quantum <= 0
        return opener.written

    def feed(self, data: bytes) -> bytes:
        """`receive` with `pending` in front and a new buffer; for tests and small uses."""
        data = self.pending + data
        out = bytearray(len(data))
        length = self.receive(memoryview(data), memoryview(out))
        while self.more:
            rest = memoryview(out)[length:]
            length += self.receive(memoryview(self.pending), rest)
        return bytes(out[:length])

    def _protocol_record(self, content_type: int, content: bytes) -> bool:
        """Do what the table at the top of this file says; return whether reading goes on."""
        self._opener.quantum -= PROTOCOL_RECORD
        if self._opener.data_opened != self._data_at_last_check:
            self._data_at_last_check = self._opener.data_opened
            self._warnings = self._key_updates = self._post_handshake.tickets = 0
        if content_type == ContentType.HANDSHAKE and self.suite.tls13:
            self._handshake_tls13(content)
        elif content_type != ContentType.HANDSHAKE and self._opener.data_type == NO_DATA:
            raise PeerMisbehaved(
                Alert.UNEXPECTED_MESSAGE,
                f"content type {content_type} inside a handshake message",
            )
        elif content_type == ContentType.ALERT:
            return self._alert(content)
        elif content_type == ContentType.HANDSHAKE:
            self._handshake_tls12(content)
        else:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, f"content type {content_type}")
        return True

    def _alert(self, content: bytes) -> bool:
        """RFC 9846 §6, RFC 5246 §7.2: one alert per record. Returns whether reading goes on."""
        if not content:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "an empty alert record")
        if len(content) != 2:
            raise PeerMisbehaved(Alert.DECODE_ERROR, f"an alert of {len(content)} bytes")
        level, alert = content[0], Alert(content[1])
        if alert is Alert.CLOSE_NOTIFY:
            self.peer_closed = True
            self._stop_reading()
            return False
        if self.suite.tls13:
            ignored = alert is Alert.USER_CANCELED  # RFC 9846 §6.1: a close_notify will follow
        elif level in (AlertLevel.WARNING, AlertLevel.FATAL):
            ignored = level == AlertLevel.WARNING
        else:
            raise PeerMisbehaved(Alert.ILLEGAL_PARAMETER, f"alert level {level}")
        if not ignored:
            # RFC 9846 §6.2: close at once, and send nothing more.
            self.closed = True
            raise PeerAlert(alert, f"the peer sent the alert {alert.name.lower()}")
        self._warnings += 1
        if self._warnings > MAX_WARNING_ALERTS:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "too many warning alerts")
        return True

    def _handshake_tls13(self, content: bytes) -> None:
        messages = self._post_handshake
        request = messages.feed(content)
        if messages.tickets > MAX_TICKETS:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "too many session tickets")
        self._opener.data_type = NO_DATA if messages.inside_message else _DATA
        if request is None:
            return
        self._key_updates += 1
        if self._key_updates > MAX_KEY_UPDATES:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "too many key updates")
        self._opener.update()
        self._update_requested = False
        if request:
            self._answer_key_update()

    def _answer_key_update(self) -> None:
        """Answer at once, even with nothing to write: the peer may be waiting for it.

        One answer serves all requests that come before it is sent (RFC 9846 §4.7.3), so a peer that
        asks and does not read cannot make `outgoing` grow. Past the sender's limit on updates the
        request is ignored, as the same section says.
        """
        if self.closed or not self._sealer.can_update:
            return
        if self._answer_waiting and self.outgoing:
            return
        self.outgoing += self._sealer.update()
        self._answer_waiting = True

    def _handshake_tls12(self, content: bytes) -> None:
        """RFC 5246 §7.2.2: the warning refuses a renegotiation, and the peer decides what follows.
        No cipher changes here, so an answer in progress goes on."""
        renegotiation = self._renegotiation
        before = renegotiation.refused
        renegotiation.feed(content)
        self._opener.data_type = NO_DATA if renegotiation.inside_message else _DATA
        if renegotiation.refused > MAX_RENEGOTIATIONS:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "too many attempts to renegotiate")
        for _ in range(before, renegotiation.refused):
            if not (self.closed or self._sealer.spent):
                self._send(ContentType.ALERT, bytes((AlertLevel.WARNING, Alert.NO_RENEGOTIATION)))

    def _fail(self, error: TlsError) -> None:
        # Where it was raised is of no use later, and holds this object in a cycle by its frames;
        # so does the AEAD's own error behind a bad record.
        self.error = error.with_traceback(None)
        error.__context__ = None
        self.send_alert(error.alert)

    # Writing

    def seal(self, data: memoryview, length: int, out: memoryview) -> int:
        """Seal `data[:length]` into records as long as they may be; return bytes written to `out`.

        `data` must be writable, with `len(data) > length`: see `sealer.py`. `len(out)` must be at
        least `sealed_size(length)`. Length 0 seals nothing. A key that is spent on the way is
        replaced, with the KeyUpdate between the records. Where there is no next key (TLS 1.2), the
        records end with an error alert, `closed` and `error` are set, and the rest of `data` is not
        sent: not close_notify, which would let the peer take what it has for the whole.
        """
        if self.closed:
            raise ApiMisused("seal: the connection is closed")
        sealer = self._sealer
        if len(data) <= length or len(out) < sealer.sealed_size(length):
            raise ApiMisused("seal: a buffer is too short")
        position, written = sealer.seal(_DATA, data, 0, length, out, 0, sealer.last_record)
        while position < length:
            if not sealer.can_update:
                return _put(out, written, self._end_of_key())
            written = _put(out, written, sealer.update())
            position, written = sealer.seal(
                _DATA, data, position, length, out, written, sealer.last_record
            )
        return written

    def seal_bytes(self, data: bytes) -> bytes:
        """`seal` into a new buffer; for tests and small uses."""
        out = bytearray(self.sealed_size(len(data)))
        length = self.seal(memoryview(bytearray(data + b"\0")), len(data), memoryview(out))
        return bytes(out[:length])

    def sealed_size(self, length: int) -> int:
        """Return how many bytes sealing `length` bytes takes at most, KeyUpdate included."""
        return self._sealer.sealed_size(length)

    def send_close_notify(self) -> None:
        """Say that nothing more will come (RFC 9846 §6.1). Reading goes on. Idempotent."""
        if not self.closed:
            self._send(ContentType.ALERT, bytes((AlertLevel.WARNING, Alert.CLOSE_NOTIFY)))
            self.closed = True

    def send_alert(self, alert: Alert) -> None:
        """Send a fatal alert, unless closed already. Either way both directions end."""
        if not self.closed:
            self._send(ContentType.ALERT, bytes((AlertLevel.FATAL, alert)))
            self.closed = True
        self._stop_reading()

    def update_keys(self, request_peer: bool = False) -> None:
        """Send a KeyUpdate and go on with the next write key (TLS 1.3 only, RFC 9846 §4.7.3).

        A second request is not sent before the peer's KeyUpdate came, as that section demands.
        """
        if self.closed:
            raise ApiMisused("update_keys: the connection is closed")
        request_peer = request_peer and not self._update_requested
        self.outgoing += self._sealer.update(request_peer)
        self._update_requested = self._update_requested or request_peer

    def seal_handshake(self, message: bytes) -> None:
        """Send one post-handshake message, such as NewSessionTicket (TLS 1.3 only)."""
        if self.closed or not self.suite.tls13 or not message:
            raise ApiMisused("seal_handshake: closed, TLS 1.2, or empty")
        size = self._sealer.fragment
        for start in range(0, len(message), size):
            self._send(ContentType.HANDSHAKE, message[start : start + size])

    def _send(self, content_type: ContentType, content: bytes) -> None:
        """Into `outgoing`. Without a next key, alerts go out on the record kept free for them."""
        if self._sealer.spent and self._sealer.can_update:
            self.outgoing += self._sealer.update()
        self.outgoing += self._sealer.seal_record(content_type, content)

    def _end_of_key(self) -> bytes:
        error = KeyLimitReached(Alert.INTERNAL_ERROR, "the write key sealed all it may")
        record = self._sealer.seal_alert(AlertLevel.FATAL, error.alert)
        self.error = error
        self.closed = True
        self._stop_reading()
        return record

    def _stop_reading(self) -> None:
        self._reading = False
        self.pending = b""
        self.more = False


def _put(out: memoryview, position: int, record: bytes) -> int:
    """Write `record` into `out` at `position`; return the position behind it."""
    end = position + len(record)
    out[position:end] = record
    return end
