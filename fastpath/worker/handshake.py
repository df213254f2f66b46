"""What the TLS handshakes of both roles share: OpenSSL on memory BIOs, fed record by record.

The peer's bytes come in, flights go out, and at the end there are keys. The roles themselves are in
`server_handshake` and `client_handshake`.

Record by record, because OpenSSL would read what arrives in the same segment as the peer's Finished
(application data, session tickets) into buffers from which nobody gets it back. What is behind that
record is returned as the leftover, for the record layer to open.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from OpenSSL import SSL, crypto

from kssl.fastpath.record.sealer import make_sealer
from kssl.fastpath.record.wire import AlertLevel, ContentType, alert_record
from kssl.fastpath.tls.errors import Alert, PeerIncompatible, PeerMisbehaved, TlsError
from kssl.fastpath.tls.fragment import MAX_FRAGMENT, MIN_FRAGMENT
from kssl.fastpath.tls.keys import ConnectionKeys, DirectionKeys
from kssl.fastpath.tls.keyschedule import tls12_keys, traffic_keys
from kssl.fastpath.tls.suites import BY_OPENSSL_NAME, CipherSuite

RECORD_HEADER = struct.Struct("!BHH")
# Numbers, because those of an enum are slow.
CHANGE_CIPHER_SPEC = int(ContentType.CHANGE_CIPHER_SPEC)
HANDSHAKE = int(ContentType.HANDSHAKE)
_NEVER_EMPTY = frozenset((int(ContentType.ALERT), HANDSHAKE))
_SHORT = RECORD_HEADER.size + MIN_FRAGMENT  # bytes of a record, less than these

_CHANGE = b"\x01"  # the one content of a change_cipher_spec (RFC 9846 §5, RFC 5246 §7.1)

_READ = 65536  # bytes taken from OpenSSL at once

# A handshake record's body: 2^14 bytes of plaintext (RFC 9846 §5.1) or 2^14 + 2048 sealed in
# TLS 1.2 (RFC 5246 §6.2.3). A longer one goes to OpenSSL as it is, which answers with the alert.
_MAX_RECORD = (1 << 14) + 2048

# All bytes that a peer may send before it is done. Two ClientHellos, a certificate chain of
# OpenSSL's own limit (100 KiB) and framing fit well; so does all that a server has to say.
MAX_HANDSHAKE_BYTES = 256 * 1024

# Short records that a peer may spread it over: shorter than any peer's limit on fragments makes
# them. A handshake needs some ten; records of one byte only cost time, and here all handshakes wait
# for it. The longer ones are limited by the bytes.
MAX_SHORT_RECORDS = 64

# No RFC names an alert for what is allowed one by one and too much together. This is the one that
# the record layer has for it too.
_TOO_MUCH = Alert.UNEXPECTED_MESSAGE


@dataclass(slots=True)
class Established:
    """What a finished handshake hands over."""

    keys: ConnectionKeys
    flight: bytes  # to be sent before anything the record layer seals
    leftover: bytes  # the peer's bytes behind its Finished
    version: str  # "TLSv1.3"
    server_name: str  # as in `ClientHello.host_name`; of an upstream: the name that was verified
    alpn: str
    group: str
    # By which the client may resume; b"" if not at all. Whoever sees it can do nothing with it but
    # recognise the client, so no log has it.
    session_id: bytes = field(default=b"", repr=False)
    policy: str = ""  # of the site that the handshake was for
    certificates: tuple[bytes, ...] = field(default=(), repr=False)  # DER, the client's own first


@dataclass(slots=True)
class Flight:
    """Bytes to send now; the handshake wants more of the peer's."""

    data: bytes


@dataclass(slots=True)
class Failure:
    """The handshake is over. ``data`` is the alert, possibly none."""

    data: bytes
    reason: str


class NoProtocolError(Exception):
    """ALPN found nothing in common. Raised by the context's callback, out of `do_handshake`."""


class TlsHandshake(ABC):
    """Feed it with :meth:`receive` until it returns `Established` or `Failure`."""

    client: ClassVar[bool]
    """Whether that is what we are."""

    def __init__(self, connection: SSL.Connection) -> None:
        self.connection = connection
        self._buffer = b""  # an incomplete record
        self._received = 0
        self._short_records = 0
        self._peer_changed = False  # its cipher, by change_cipher_spec
        self._sent: list[bytes] = []

    def receive(self, data: bytes | memoryview) -> Flight | Established | Failure:
        step = Flight(b"")
        try:
            self._received += len(data)
            if self._received > MAX_HANDSHAKE_BYTES:
                raise PeerMisbehaved(
                    _TOO_MUCH, f"handshake longer than {MAX_HANDSHAKE_BYTES} bytes"
                )
            self._buffer += data
            while record := self._next_record():
                self._check(record)
                self.connection.bio_write(record)
                if record[0] == CHANGE_CIPHER_SPEC and self._buffer:
                    continue  # OpenSSL reads it with the record behind it, which is on its way
                next_step = self._go_on(step.data)
                if not isinstance(next_step, Flight):
                    return next_step
                step = next_step
        except TlsError as error:
            return Failure(step.data + self._alert(error.alert), str(error))
        return step

    def _check(self, record: bytes) -> None:
        """Look for what OpenSSL does not see, or has no alert for. Raises TlsError."""
        if len(record) < _SHORT:
            self._short_records += 1
            if self._short_records > MAX_SHORT_RECORDS:
                raise PeerMisbehaved(
                    _TOO_MUCH, f"handshake of more than {MAX_SHORT_RECORDS} short records"
                )
            if len(record) == RECORD_HEADER.size and record[0] in _NEVER_EMPTY:
                raise PeerMisbehaved(
                    Alert.UNEXPECTED_MESSAGE, f"an empty record of type {record[0]}"
                )
        if record[0] == CHANGE_CIPHER_SPEC:
            self._check_change(record)
        self._before(record)

    def _check_change(self, record: bytes) -> None:
        """OpenSSL knows when one may come, but in TLS 1.2 not that it was the second: it tries to
        decrypt that one. In TLS 1.3 they mean nothing, and there may be several."""
        if record[RECORD_HEADER.size :] != _CHANGE:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "a bad change_cipher_spec")
        if self._peer_changed and self._tls12:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "a second change_cipher_spec")
        self._peer_changed = True

    @property
    def _tls12(self) -> bool:
        return bool(self.connection.get_protocol_version() == SSL.TLS1_2_VERSION)

    # -- what a role does ------------------------------------------------------------------

    @abstractmethod
    def _before(self, record: bytes) -> None:
        """OpenSSL is about to get ``record``, which is complete unless it is too long.

        Raises TlsError to end the handshake instead.
        """

    @abstractmethod
    def _tls13_write_secret(self) -> bytes:
        """Return what protects our next record, b"" as long as that is none of TLS 1.3's."""

    @abstractmethod
    def _finish(self, flight: bytes) -> Established | Failure:
        """OpenSSL is done. ``flight`` is still to be sent. Raises TlsError."""

    @abstractmethod
    def _explain(self, error: SSL.Error) -> str:
        """Why the handshake failed, for people."""

    # -- OpenSSL ---------------------------------------------------------------------------

    def _go_on(self, flight: bytes) -> Flight | Established | Failure:
        """``flight`` is what is still to be sent; what comes of this call follows it."""
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            return Flight(flight + self._drain())
        except SSL.ZeroReturnError:
            # Each side says it before it closes (RFC 9846 §6.1).
            answer = self._drain() or self._alert(Alert.CLOSE_NOTIFY)
            return Failure(flight + answer, "close_notify came during the handshake")
        except SSL.Error as error:
            return Failure(flight + self._drain(), self._explain(error))
        except NoProtocolError as error:
            return Failure(flight + self._drain(), str(error))
        try:
            return self._finish(flight)
        except TlsError as error:
            return Failure(b"", str(error))

    def _next_record(self) -> bytes:
        """A complete record, or b""."""
        buffer = self._buffer
        if len(buffer) < RECORD_HEADER.size:
            return b""
        _, _, length = RECORD_HEADER.unpack_from(buffer)
        end = RECORD_HEADER.size + length if length <= _MAX_RECORD else len(buffer)
        if len(buffer) < end:
            return b""
        self._buffer = buffer[end:]
        return buffer[:end]

    def _alert(self, alert: Alert) -> bytes:
        """Return the alert as a record, protected if our next one is."""
        write = self._write_keys()
        if write is None:
            return alert_record(alert)
        return make_sealer(self._suite(), write).seal_alert(_level(alert), alert)

    def _write_keys(self) -> DirectionKeys | None:
        """Return the keys of our next record while the handshake lasts; None: it is plaintext."""
        secret = self._tls13_write_secret()
        if secret:
            return traffic_keys(self._suite(), secret)
        if self._tls12 and any(kind == CHANGE_CIPHER_SPEC for kind, _ in self._sent_records()):
            return self._tls12_keys(self._suite()).write
        return None

    def _sent_records(self) -> Iterator[tuple[int, bytes]]:
        """Yield content type and body of each record that OpenSSL has written."""
        sent = b"".join(self._sent)
        position = 0
        while position + RECORD_HEADER.size <= len(sent):
            kind, _, length = RECORD_HEADER.unpack_from(sent, position)
            body = position + RECORD_HEADER.size
            position = body + length
            yield kind, sent[body:position]

    def _drain(self) -> bytes:
        """What OpenSSL wants to send."""
        out = b""
        try:
            while len(out) % _READ == 0:  # less than there was room for is all
                out += self.connection.bio_read(_READ)
        except SSL.WantReadError:
            pass
        if out:
            self._sent.append(out)
        return out

    def _suite(self) -> CipherSuite:
        """What was negotiated. Raises PeerIncompatible."""
        name = self.connection.get_cipher_name() or ""
        suite = BY_OPENSSL_NAME.get(name)
        if suite is None:
            raise PeerIncompatible(Alert.HANDSHAKE_FAILURE, f"no record layer for {name}")
        return suite

    def _tls12_keys(self, suite: CipherSuite, max_fragment: int = MAX_FRAGMENT) -> ConnectionKeys:
        connection, client = self.connection, self.client
        of_client, of_server = tls12_keys(
            suite,
            connection.master_key() or b"",
            connection.client_random() or b"",
            connection.server_random() or b"",
            explicit_nonce=self._next_explicit_nonce(),
            client=client,
        )
        read, write = (of_server, of_client) if client else (of_client, of_server)
        return ConnectionKeys(suite, read, write, client, max_fragment)

    def _next_explicit_nonce(self) -> int:
        """The one behind that of our Finished: OpenSSL starts at random (RFC 5288 §3), and the
        record layer must go on from there. Our Finished follows our change_cipher_spec."""
        after_change_cipher_spec = False
        for kind, body in self._sent_records():
            if kind == CHANGE_CIPHER_SPEC:
                after_change_cipher_spec = True
            elif kind == HANDSHAKE and after_change_cipher_spec and len(body) >= 8:
                return int.from_bytes(body[:8], "big") + 1 & (1 << 64) - 1
        return 0


def _level(alert: Alert) -> AlertLevel:
    return AlertLevel.WARNING if alert is Alert.CLOSE_NOTIFY else AlertLevel.FATAL


def openssl_reason(error: SSL.Error | crypto.Error) -> str:
    """OpenSSL's reason in its own words: `no shared cipher`, `unsupported protocol`, …"""
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        reasons = [entry[2] or entry[1] for entry in error.args[0] if len(entry) == 3]
        return "; ".join(reason for reason in reasons if reason) or "handshake failed"
    return str(error) or type(error).__name__
