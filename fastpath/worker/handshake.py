"""One TLS handshake by OpenSSL, on memory BIOs: client bytes in, flights out, keys at the end.

The client's bytes are fed record by record, because OpenSSL would read application data that
arrives in the same segment as the client's Finished into buffers from which nobody gets it back.
What is behind that record is returned as the leftover.

The ClientHello is read before OpenSSL gets the end of it, because the name in it decides about the
certificate and about the sessions that may be resumed: see `contexts`.

After the client's Finished, OpenSSL writes its NewSessionTicket records (TLS 1.3) with the keys
that our record layer is about to use. They are opened here with the server's own key, and the last
ticket alone is sent again as record 0: with stateful tickets its session is the one that the
connection object holds, so that keeping or freeing that object decides about resumption.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from OpenSSL import SSL

from fastpath import legacy
from fastpath.clienthello import ClientHello, ClientHelloReader
from fastpath.errors import Alert, PeerIncompatible, PeerMisbehaved, TlsError
from fastpath.keys import ConnectionKeys, DirectionKeys
from fastpath.keyschedule import tls12_keys, traffic_keys
from fastpath.record.sealer import make_sealer
from fastpath.record.wire import ContentType
from fastpath.suites import BY_OPENSSL_NAME, CipherSuite
from fastpath.worker.session_id import of_server_hello, of_ticket

_RECORD_HEADER = struct.Struct("!BHH")
_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA = 20, 21, 22, 23
_NEW_SESSION_TICKET = 4

_NO_SHARED_CIPHER = "no shared cipher"  # OpenSSL's words for SSL_R_NO_SHARED_CIPHER

_READ = 65536  # bytes taken from OpenSSL at once

# A handshake record's body: 2^14 bytes of plaintext (RFC 9846 §5.1) or 2^14 + 2048 sealed in
# TLS 1.2 (RFC 5246 §6.2.3). A longer one goes to OpenSSL as it is, which answers with the alert.
_MAX_RECORD = (1 << 14) + 2048

# All bytes that a client may send before it is done. Two ClientHellos, a certificate chain of
# OpenSSL's own limit (100 KiB) and framing fit well.
MAX_HANDSHAKE_BYTES = 256 * 1024

# Records that a client may spread it over. A ClientHello takes one or two and a certificate chain
# ten at most; records of one byte only cost time, and here all handshakes wait for it.
MAX_HANDSHAKE_RECORDS = 64


@dataclass(slots=True)
class Established:
    """What a finished handshake hands over."""

    keys: ConnectionKeys
    flight: bytes  # to be sent before anything the record layer seals
    leftover: bytes  # the client's bytes behind its Finished
    version: str  # "TLSv1.3"
    server_name: str  # as in `ClientHello.host_name`
    alpn: str
    group: str
    # By which the client may resume; b"" if not at all. Whoever sees it can do nothing with it but
    # recognise the client, so no log has it.
    session_id: bytes = field(default=b"", repr=False)


@dataclass(slots=True)
class Flight:
    """Bytes to send now; the handshake wants more of the client's."""

    data: bytes


@dataclass(slots=True)
class Failure:
    """The handshake is over. ``data`` is the alert, possibly none."""

    data: bytes
    reason: str


class NoProtocolError(Exception):
    """ALPN found nothing in common. Raised by the context's callback, out of `do_handshake`."""


class ServerHandshake:
    """Feed it with :meth:`receive` until it returns `Established` or `Failure`.

    ``choose`` is called once, with the client's host name or "", and gives ``connection`` the
    context to go on with.
    """

    def __init__(self, connection: SSL.Connection, choose: Callable[[str], None]) -> None:
        self.connection = connection
        self._choose = choose
        self._reader = ClientHelloReader()
        self._hello: ClientHello | None = None
        self._buffer = b""  # an incomplete record
        self._received = 0
        self._records = 0
        self._sent: list[bytes] = []

    def receive(self, data: bytes | memoryview) -> Flight | Established | Failure:
        self._received += len(data)
        if self._received > MAX_HANDSHAKE_BYTES:
            return Failure(b"", f"handshake longer than {MAX_HANDSHAKE_BYTES} bytes")
        self._buffer += data
        flight = b""
        while record := self._next_record():
            self._records += 1
            if self._records > MAX_HANDSHAKE_RECORDS:
                return Failure(b"", f"handshake of more than {MAX_HANDSHAKE_RECORDS} records")
            if self._hello is None:
                self._read_hello(record)
            try:
                self.connection.bio_write(record)
                if record[0] == _CHANGE_CIPHER_SPEC:
                    continue  # it never stands alone: OpenSSL reads it with the record behind it
                self.connection.do_handshake()
            except SSL.WantReadError:
                flight += self._drain()
            except SSL.Error as error:
                return Failure(flight + self._drain(), self._explain(error))
            except NoProtocolError as error:
                return Failure(flight + self._drain(), str(error))
            else:
                try:
                    return self._finish(flight)
                except TlsError as error:
                    return Failure(b"", str(error))
        return Flight(flight)

    def _read_hello(self, record: bytes) -> None:
        hello = self._reader.add(record)
        if hello is not None:
            self._hello = hello
            self._choose(hello.host_name)

    def _next_record(self) -> bytes:
        """A complete record, or b""."""
        buffer = self._buffer
        if len(buffer) < _RECORD_HEADER.size:
            return b""
        _, _, length = _RECORD_HEADER.unpack_from(buffer)
        end = _RECORD_HEADER.size + length if length <= _MAX_RECORD else len(buffer)
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

    def _finish(self, flight: bytes) -> Established:
        connection = self.connection
        name = connection.get_cipher_name() or ""
        suite = BY_OPENSSL_NAME.get(name)
        if suite is None:
            raise PeerIncompatible(Alert.HANDSHAKE_FAILURE, f"no record layer for {name}")
        server_name = self._server_name(suite)
        last = self._drain()
        if suite.tls13:
            keys, last, session_id = self._tls13_keys(suite, last)
        else:
            keys = self._tls12_keys(suite)
            session_id = of_server_hello(b"".join(self._sent))
        return Established(
            keys=keys,
            flight=flight + last,
            leftover=self._buffer,
            version=connection.get_protocol_version_name(),
            server_name=server_name,
            alpn=connection.get_alpn_proto_negotiated().decode("ascii", "replace"),
            group=connection.get_group_name() or "",
            session_id=session_id,
        )

    def _server_name(self, suite: CipherSuite) -> str:
        """The name that the certificate was chosen by. A second ClientHello (TLS 1.3) may not have
        another one (RFC 8446 §4.1.2), or a session could be resumed under a name that is not its
        own. In TLS 1.2 OpenSSL tells a resumed session's name instead."""
        chosen = self._hello.host_name if self._hello is not None else None
        if suite.tls13:
            told = ClientHello(self.connection.get_servername() or b"").host_name
            if told != chosen:
                raise PeerMisbehaved(Alert.ILLEGAL_PARAMETER, "the client's server name changed")
        return chosen or ""

    def _tls12_keys(self, suite: CipherSuite) -> ConnectionKeys:
        connection = self.connection
        client, server = tls12_keys(
            suite,
            connection.master_key() or b"",
            connection.client_random() or b"",
            connection.server_random() or b"",
            explicit_nonce=self._next_explicit_nonce(),
        )
        return ConnectionKeys(suite=suite, read=client, write=server)

    def _next_explicit_nonce(self) -> int:
        """The one behind that of our Finished: OpenSSL starts at random (RFC 5288 §3), and the
        record layer must go on from there. Our Finished follows our change_cipher_spec."""
        sent = b"".join(self._sent)
        position, after_change_cipher_spec = 0, False
        while position + _RECORD_HEADER.size <= len(sent):
            kind, _, length = _RECORD_HEADER.unpack_from(sent, position)
            body = position + _RECORD_HEADER.size
            if kind == _CHANGE_CIPHER_SPEC:
                after_change_cipher_spec = True
            elif kind == _HANDSHAKE and after_change_cipher_spec and length >= 8:
                return int.from_bytes(sent[body : body + 8], "big") + 1 & (1 << 64) - 1
            position = body + length
        return 0

    def _tls13_keys(
        self, suite: CipherSuite, tickets: bytes
    ) -> tuple[ConnectionKeys, bytes, bytes]:
        """The keys, the record to send last, and the session id in it."""
        secrets = self.connection.get_app_data()
        if not (secrets.client and secrets.server):
            raise TlsError(Alert.INTERNAL_ERROR, "OpenSSL told no traffic secrets")
        read = traffic_keys(suite, secrets.client)
        write = traffic_keys(suite, secrets.server)
        secrets.client = secrets.server = b""
        last_ticket = b""
        for message in _open_handshake_records(suite, write, tickets):
            if message[0] != _NEW_SESSION_TICKET:
                raise TlsError(
                    Alert.INTERNAL_ERROR, f"unexpected message {message[0]} from OpenSSL"
                )
            last_ticket = message
        record = b""
        if last_ticket:
            sealer = make_sealer(suite, write)
            record = sealer.seal_record(ContentType.HANDSHAKE, last_ticket)
            write = sealer.keys
        return ConnectionKeys(suite, read, write), record, of_ticket(last_ticket)

    def _explain(self, error: SSL.Error) -> str:
        reason = _explain(error)
        offered = self._hello.cipher_suites if self._hello is not None else b""
        if reason == _NO_SHARED_CIPHER and legacy.includes_rc2(offered):
            return f"{legacy.RC2_SUITE}: the client offers RC2 suites and none that are allowed"
        return reason


def _open_handshake_records(suite: CipherSuite, keys: DirectionKeys, records: bytes) -> list[bytes]:
    """The handshake messages in ``records``, sealed with ``keys`` from sequence number 0."""
    aead = suite.aead(keys.key)
    iv = int.from_bytes(keys.iv, "big")
    content = bytearray()
    position = sequence = 0
    while position < len(records):
        _, _, length = _RECORD_HEADER.unpack_from(records, position)
        body = position + _RECORD_HEADER.size
        inner = aead.decrypt(
            (iv ^ sequence).to_bytes(12, "big"),
            records[body : body + length],
            records[position:body],
        ).rstrip(b"\0")
        if inner[-1] != _HANDSHAKE:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "not a handshake record")
        content += inner[:-1]
        position, sequence = body + length, sequence + 1
    messages = []
    while content:
        end = 4 + int.from_bytes(content[1:4], "big")
        messages.append(bytes(content[:end]))
        del content[:end]
    return messages


def _explain(error: SSL.Error) -> str:
    """OpenSSL's reason in its own words: `no shared cipher`, `unsupported protocol`, …"""
    if error.args and isinstance(error.args[0], list) and error.args[0]:
        reasons = [entry[2] or entry[1] for entry in error.args[0] if len(entry) == 3]
        return "; ".join(reason for reason in reasons if reason) or "handshake failed"
    return str(error) or type(error).__name__
