"""The TLS handshake with a client: its bytes in, flights out, keys at the end.

The ClientHello is read before OpenSSL gets the end of it, because the name in it decides about the
certificate and about the sessions that may be resumed: see `contexts`.

After the client's Finished, OpenSSL writes its NewSessionTicket records (TLS 1.3) with the keys
that our record layer is about to use. They are opened here with the server's own key, and the last
ticket alone is sent again as record 0: with stateful tickets its session is the one that the
connection object holds, so that keeping or freeing that object decides about resumption.
"""

from __future__ import annotations

from collections.abc import Callable

from OpenSSL import SSL, crypto

from kssl.fastpath.record.sealer import make_sealer
from kssl.fastpath.record.wire import VERSION, ContentType
from kssl.fastpath.tls import legacy
from kssl.fastpath.tls.clienthello import ClientHello, ClientHelloReader
from kssl.fastpath.tls.errors import Alert, PeerMisbehaved, TlsError
from kssl.fastpath.tls.fragment import MAX_FRAGMENT, MAX_FRAGMENT_LENGTH, SIZES
from kssl.fastpath.tls.keys import ConnectionKeys, DirectionKeys
from kssl.fastpath.tls.keyschedule import traffic_keys
from kssl.fastpath.tls.suites import CipherSuite
from kssl.fastpath.worker.handshake import (
    HANDSHAKE,
    RECORD_HEADER,
    Established,
    TlsHandshake,
    openssl_reason,
)
from kssl.fastpath.worker.server_hello import asks_again, extensions
from kssl.fastpath.worker.session_id import of_server_hello, of_ticket

_NEW_SESSION_TICKET = 4

_MAJOR_VERSION = 3  # of every TLS record, and of SSL 3.0's

# ContentTypes that IANA has assigned. What begins with another byte is no TLS; OpenSSL's words for
# that are as good as ours.
_CONTENT_TYPES = range(20, 27)

_NO_SHARED_CIPHER = "no shared cipher"  # OpenSSL's words for SSL_R_NO_SHARED_CIPHER


class ServerHandshake(TlsHandshake):
    """``choose`` is called once, with the client's host name or "", gives ``connection`` the
    context to go on with, and returns the policy of the site."""

    client = False

    def __init__(self, connection: SSL.Connection, choose: Callable[[str], str]) -> None:
        super().__init__(connection)
        self._choose = choose
        self._policy = ""
        self._reader = ClientHelloReader()
        self._hello: ClientHello | None = None
        self._asked_again: bool | None = None  # by HelloRetryRequest; None: not answered yet

    def _before(self, record: bytes) -> None:
        if self._hello is None:
            self._first_hello(record)
        elif record[0] == HANDSHAKE:
            if self._asked_again is None:
                self._asked_again = bool(self._sent) and asks_again(self._sent[0])
            if self._asked_again:
                self._second_hello(record)

    def _first_hello(self, record: bytes) -> None:
        if record[0] != HANDSHAKE and record[0] in _CONTENT_TYPES:
            # Nothing may come before the ClientHello, or between its fragments (RFC 9846 §5.1).
            raise PeerMisbehaved(
                Alert.UNEXPECTED_MESSAGE, f"content type {record[0]} in place of a ClientHello"
            )
        if record[0] == HANDSHAKE and record[1] != _MAJOR_VERSION:
            raise PeerMisbehaved(
                Alert.PROTOCOL_VERSION,
                f"a ClientHello in a record of version 0x{record[1:3].hex()}",
            )
        hello = self._reader.add(record)
        if hello is not None:
            self._hello = hello
            self._policy = self._choose(hello.host_name)

    def _second_hello(self, record: bytes) -> None:
        """The server name must be the first hello's (RFC 9846 §4.2.2), by which the certificate and
        the sessions were chosen. OpenSSL does not look."""
        hello = self._reader.add(record)
        if hello is None or self._hello is None:
            return
        self._asked_again = False  # there is no third
        if hello.server_name != self._hello.server_name:
            raise PeerMisbehaved(
                Alert.ILLEGAL_PARAMETER, "the server name changed in the second ClientHello"
            )

    def _tls13_write_secret(self) -> bytes:
        secret: bytes = self.connection.get_app_data().server
        return secret

    def _max_fragment(self, suite: CipherSuite) -> int:
        """Return what OpenSSL has agreed to, of this hello or when the session began.

        It is read in our own answer: what the client asks for may be another size.
        """
        if self._hello is None or not self._hello.max_fragment_length:
            return MAX_FRAGMENT
        if suite.tls13:
            secret = bytes.fromhex(self.connection.get_app_data().server_handshake.decode())
            sealed = (
                RECORD_HEADER.pack(kind, VERSION, len(body)) + body
                for kind, body in self._sent_records()
                if kind == ContentType.APPLICATION_DATA
            )
            first = next(sealed, b"")
            answer = _open_handshake_records(suite, traffic_keys(suite, secret), first)[0]
        else:
            answer = next((body for _, body in self._sent_records()), b"")
        agreed = extensions(answer).get(MAX_FRAGMENT_LENGTH)
        return SIZES[agreed] if agreed is not None else MAX_FRAGMENT

    def _finish(self, flight: bytes) -> Established:
        connection = self.connection
        suite = self._suite()
        server_name = self._server_name(suite)
        max_fragment = self._max_fragment(suite)
        last = self._drain()
        if suite.tls13:
            keys, last, session_id = self._tls13_keys(suite, last, max_fragment)
        else:
            keys = self._tls12_keys(suite, max_fragment)
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
            policy=self._policy,
            certificates=self._presented() if self._policy else (),
        )

    def _presented(self) -> tuple[bytes, ...]:
        """Of a resumed session: when it began. A server's chain has not the peer's own in it."""
        own = self.connection.get_peer_certificate()
        if own is None:
            return ()
        others = self.connection.get_peer_cert_chain() or []
        return tuple(crypto.dump_certificate(crypto.FILETYPE_ASN1, each) for each in (own, *others))

    def _server_name(self, suite: CipherSuite) -> str:
        """The name that the certificate was chosen by. A second ClientHello (TLS 1.3) may not have
        another one (RFC 9846 §4.2.2), or a session could be resumed under a name that is not its
        own. In TLS 1.2 OpenSSL tells a resumed session's name instead."""
        chosen = self._hello.host_name if self._hello is not None else None
        if suite.tls13:
            told = ClientHello(self.connection.get_servername() or b"").host_name
            if told != chosen:
                raise PeerMisbehaved(Alert.ILLEGAL_PARAMETER, "the client's server name changed")
        return chosen or ""

    def _tls13_keys(
        self, suite: CipherSuite, tickets: bytes, max_fragment: int
    ) -> tuple[ConnectionKeys, bytes, bytes]:
        """The keys, the record to send last, and the session id in it."""
        secrets = self.connection.get_app_data()
        if not (secrets.client and secrets.server):
            raise TlsError(Alert.INTERNAL_ERROR, "OpenSSL told no traffic secrets")
        read = traffic_keys(suite, secrets.client)
        write = traffic_keys(suite, secrets.server)
        secrets.forget()
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
        keys = ConnectionKeys(suite, read, write, max_fragment=max_fragment)
        return keys, record, of_ticket(last_ticket)

    def _explain(self, error: SSL.Error) -> str:
        reason = openssl_reason(error)
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
        _, _, length = RECORD_HEADER.unpack_from(records, position)
        body = position + RECORD_HEADER.size
        inner = aead.decrypt(
            (iv ^ sequence).to_bytes(12, "big"),
            records[body : body + length],
            records[position:body],
        ).rstrip(b"\0")
        if inner[-1] != HANDSHAKE:
            raise PeerMisbehaved(Alert.UNEXPECTED_MESSAGE, "not a handshake record")
        content += inner[:-1]
        position, sequence = body + length, sequence + 1
    messages = []
    while content:
        end = 4 + int.from_bytes(content[1:4], "big")
        messages.append(bytes(content[:end]))
        del content[:end]
    return messages
