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
from dataclasses import dataclass, field

from OpenSSL import SSL

from fastpath.errors import Alert, PeerIncompatible, TlsError
from fastpath.keys import ConnectionKeys
from fastpath.keyschedule import tls12_keys
from fastpath.suites import BY_OPENSSL_NAME, CipherSuite

RECORD_HEADER = struct.Struct("!BHH")
CHANGE_CIPHER_SPEC, HANDSHAKE = 20, 22  # ContentType (RFC 9846 §5.1)

_READ = 65536  # bytes taken from OpenSSL at once

# A handshake record's body: 2^14 bytes of plaintext (RFC 9846 §5.1) or 2^14 + 2048 sealed in
# TLS 1.2 (RFC 5246 §6.2.3). A longer one goes to OpenSSL as it is, which answers with the alert.
_MAX_RECORD = (1 << 14) + 2048

# All bytes that a peer may send before it is done. Two ClientHellos, a certificate chain of
# OpenSSL's own limit (100 KiB) and framing fit well; so does all that a server has to say.
MAX_HANDSHAKE_BYTES = 256 * 1024

# Records that a peer may spread it over. A ClientHello takes one or two and a certificate chain
# ten at most; records of one byte only cost time, and here all handshakes wait for it.
MAX_HANDSHAKE_RECORDS = 64


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

    def __init__(self, connection: SSL.Connection) -> None:
        self.connection = connection
        self._buffer = b""  # an incomplete record
        self._received = 0
        self._records = 0
        self._sent: list[bytes] = []

    def receive(self, data: bytes | memoryview) -> Flight | Established | Failure:
        self._received += len(data)
        if self._received > MAX_HANDSHAKE_BYTES:
            return Failure(b"", f"handshake longer than {MAX_HANDSHAKE_BYTES} bytes")
        self._buffer += data
        step = Flight(b"")
        while record := self._next_record():
            self._records += 1
            if self._records > MAX_HANDSHAKE_RECORDS:
                return Failure(b"", f"handshake of more than {MAX_HANDSHAKE_RECORDS} records")
            self._before(record)
            self.connection.bio_write(record)
            if record[0] == CHANGE_CIPHER_SPEC:
                continue  # it never stands alone: OpenSSL reads it with the record behind it
            next_step = self._go_on(step.data)
            if not isinstance(next_step, Flight):
                return next_step
            step = next_step
        return step

    # -- what a role does ------------------------------------------------------------------

    @abstractmethod
    def _before(self, record: bytes) -> None:
        """OpenSSL is about to get ``record``, which is complete unless it is too long."""

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

    def _drain(self) -> bytes:
        """What OpenSSL wants to send."""
        out = b""
        try:
            while len(out) % _READ == 0:  # less than there was room for is all
                out += self.connection.bio_read(_READ)
        except SSL.WantReadError:
            pass
        self._sent.append(out)
        return out

    def _suite(self) -> CipherSuite:
        """What was negotiated. Raises PeerIncompatible."""
        name = self.connection.get_cipher_name() or ""
        suite = BY_OPENSSL_NAME.get(name)
        if suite is None:
            raise PeerIncompatible(Alert.HANDSHAKE_FAILURE, f"no record layer for {name}")
        return suite

    def _tls12_keys(self, suite: CipherSuite, *, client: bool) -> ConnectionKeys:
        """``client``: whether that is what we are."""
        connection = self.connection
        of_client, of_server = tls12_keys(
            suite,
            connection.master_key() or b"",
            connection.client_random() or b"",
            connection.server_random() or b"",
            explicit_nonce=self._next_explicit_nonce(),
            client=client,
        )
        read, write = (of_server, of_client) if client else (of_client, of_server)
        return ConnectionKeys(suite, read, write, client)

    def _next_explicit_nonce(self) -> int:
        """The one behind that of our Finished: OpenSSL starts at random (RFC 5288 §3), and the
        record layer must go on from there. Our Finished follows our change_cipher_spec."""
        sent = b"".join(self._sent)
        position, after_change_cipher_spec = 0, False
        while position + RECORD_HEADER.size <= len(sent):
            kind, _, length = RECORD_HEADER.unpack_from(sent, position)
            body = position + RECORD_HEADER.size
            if kind == CHANGE_CIPHER_SPEC:
                after_change_cipher_spec = True
            elif kind == HANDSHAKE and after_change_cipher_spec and length >= 8:
                return int.from_bytes(sent[body : body + 8], "big") + 1 & (1 << 64) - 1
            position = body + length
        return 0


def openssl_reason(error: SSL.Error) -> str:
    """OpenSSL's reason in its own words: `no shared cipher`, `unsupported protocol`, …"""
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        reasons = [entry[2] or entry[1] for entry in error.args[0] if len(entry) == 3]
        return "; ".join(reason for reason in reasons if reason) or "handshake failed"
    return str(error) or type(error).__name__
