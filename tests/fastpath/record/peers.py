"""Peers for the record layer's tests: our own layer, a forger of bad records, and OpenSSL."""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from kssl.fastpath.record import RecordLayer
from kssl.fastpath.tls.keys import ConnectionKeys, DirectionKeys
from kssl.fastpath.tls.keyschedule import next_traffic_secret, tls12_keys, traffic_keys
from kssl.fastpath.tls.suites import BY_OPENSSL_NAME, SUITES, CipherSuite

TLS13 = BY_OPENSSL_NAME["TLS_AES_128_GCM_SHA256"]
TLS12 = BY_OPENSSL_NAME["ECDHE-RSA-AES128-GCM-SHA256"]
ALL_SUITES = SUITES
TLS13_SUITES = [suite for suite in SUITES if suite.tls13]

KEY_UPDATE = b"\x18\x00\x00\x01\x00"
KEY_UPDATE_REQUEST = b"\x18\x00\x00\x01\x01"
CLOSE_NOTIFY = b"\x01\x00"

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23


def example_keys(suite: CipherSuite) -> tuple[DirectionKeys, DirectionKeys]:
    """(client write, server write) from made-up secrets."""
    if suite.tls13:
        size = 48 if suite.hash_name == "sha384" else 32
        return traffic_keys(suite, b"c" * size), traffic_keys(suite, b"s" * size)
    return tls12_keys(suite, b"m" * 48, b"c" * 32, b"s" * 32, explicit_nonce=2**64 - 2)


def server_layer(suite: CipherSuite = TLS13) -> RecordLayer:
    """The side under test."""
    client, server = example_keys(suite)
    return RecordLayer(ConnectionKeys(suite, read=client, write=server))


def client_layer(suite: CipherSuite = TLS13) -> RecordLayer:
    """The other end of `server_layer`."""
    client, server = example_keys(suite)
    return RecordLayer(ConnectionKeys(suite, read=server, write=client))


class Forger:
    """Seals whatever it is told, as the client. A second implementation: simple, and no limits."""

    def __init__(self, suite: CipherSuite = TLS13, keys: DirectionKeys | None = None) -> None:
        self.suite = suite
        self.keys = keys or example_keys(suite)[0]
        self.aead = suite.aead(self.keys.key)
        self.sequence = self.keys.sequence

    def inner(self, inner: bytes, *, version: int = 0x0303) -> bytes:
        """A TLS 1.3 record around a TLSInnerPlaintext as given."""
        header = bytes((DATA,)) + version.to_bytes(2, "big") + (len(inner) + 16).to_bytes(2, "big")
        return header + self.aead.encrypt(self._xor_nonce(), inner, header)

    def record(self, content_type: int, content: bytes, padding: int = 0) -> bytes:
        """A record of either version."""
        if self.suite.tls13:
            return self.inner(content + bytes((content_type,)) + bytes(padding))
        aad = self.sequence.to_bytes(8, "big") + bytes((content_type, 3, 3))
        aad += len(content).to_bytes(2, "big")
        if self.suite.explicit_nonce_length:
            explicit = (0xABCDEF00 ^ self.sequence).to_bytes(8, "big")
            self.sequence += 1
            body = explicit + self.aead.encrypt(self.keys.iv + explicit, content, aad)
        else:
            body = self.aead.encrypt(self._xor_nonce(), content, aad)
        return bytes((content_type, 3, 3)) + len(body).to_bytes(2, "big") + body

    def data(self, content: bytes) -> bytes:
        return self.record(DATA, content)

    def key_update(self, message: bytes = KEY_UPDATE) -> bytes:
        """A KeyUpdate; what follows uses the next key."""
        record = self.record(HANDSHAKE, message)
        self.next_key()
        return record

    def next_key(self) -> None:
        secret = next_traffic_secret(self.suite, self.keys.secret)
        self.keys = traffic_keys(self.suite, secret)
        self.aead, self.sequence = self.suite.aead(self.keys.key), 0

    def _xor_nonce(self) -> bytes:
        nonce = int.from_bytes(self.keys.iv, "big") ^ self.sequence
        self.sequence += 1
        return nonce.to_bytes(12, "big")


def split_records(stream: bytes) -> list[bytes]:
    """Cut a stream into its records."""
    records = []
    while stream:
        end = 5 + int.from_bytes(stream[3:5], "big")
        records.append(stream[:end])
        stream = stream[end:]
    return records


def said_by(server: RecordLayer, suite: CipherSuite = TLS13) -> list[tuple[int, bytes]]:
    """(content type, content) of each record in `server.outgoing`, opened with the first key."""
    keys = example_keys(suite)[1]
    aead = suite.aead(keys.key)
    said = []
    for sequence, record in enumerate(split_records(bytes(server.outgoing)), keys.sequence):
        header, body = record[:5], record[5:]
        nonce = (int.from_bytes(keys.iv, "big") ^ sequence).to_bytes(12, "big")
        if suite.tls13:
            inner = aead.decrypt(nonce, body, header).rstrip(b"\0")
            said.append((inner[-1], inner[:-1]))
            continue
        if suite.explicit_nonce_length:
            nonce, body = keys.iv + body[:8], body[8:]
        aad = sequence.to_bytes(8, "big") + header[:3] + (len(body) - 16).to_bytes(2, "big")
        said.append((header[0], aead.decrypt(nonce, body, aad)))
    return said


def make_contexts(suite: CipherSuite) -> tuple[SSL.Context, SSL.Context]:
    """OpenSSL (client, server) contexts that can negotiate `suite` alone."""
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    if "-RSA-" in suite.openssl_name:
        key = rsa.generate_private_key(65537, 2048)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )
    client, server = SSL.Context(SSL.TLS_CLIENT_METHOD), SSL.Context(SSL.TLS_SERVER_METHOD)
    server.use_certificate(certificate)
    server.use_privatekey(key)
    version = SSL.TLS1_3_VERSION if suite.tls13 else SSL.TLS1_2_VERSION
    for context in (client, server):
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        if suite.tls13:
            context.set_tls13_ciphersuites(suite.openssl_name.encode())
        else:
            context.set_cipher_list(suite.openssl_name.encode())
    return client, server


@dataclass
class OpenSslPeer:
    """An OpenSSL client, connected to our record layer, which took over from an OpenSSL server."""

    client: SSL.Connection
    layer: RecordLayer

    def flush(self) -> bytes:
        """What the client wants to send."""
        try:
            return self.client.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

    def send(self, data: bytes) -> bytes:
        """The client writes; what the layer reads."""
        self.client.sendall(data)
        return self.layer.feed(self.flush())

    def read(self, records: bytes) -> bytes:
        """The layer's records go to the client; what it reads."""
        self.client.bio_write(records)
        read = b""
        while True:
            try:
                read += self.client.recv(1 << 16)
            except SSL.WantReadError:
                return read


def connect_openssl(suite: CipherSuite) -> OpenSslPeer:
    """Handshake client ↔ server in OpenSSL, then take the server's keys over."""
    client_context, server_context = make_contexts(suite)
    secrets: dict[str, bytes] = {}

    def keylog(_connection: SSL.Connection, line: bytes) -> None:
        label, _random, secret = line.decode().split()
        secrets[label] = bytes.fromhex(secret)

    server_context.set_keylog_callback(keylog)
    client = SSL.Connection(client_context)
    client.set_connect_state()
    server = SSL.Connection(server_context)
    server.set_accept_state()
    flight = b""
    for _ in range(3):
        for here, there in ((client, server), (server, client)):
            with contextlib.suppress(SSL.WantReadError):
                here.do_handshake()
            try:
                flight = here.bio_read(1 << 16)
            except SSL.WantReadError:
                continue
            there.bio_write(flight)
    assert client.get_cipher_name() == suite.openssl_name
    # `flight` is the server's last: NewSessionTicket records (1.3), or up to its Finished (1.2).
    records = split_records(flight)
    if suite.tls13:
        read = traffic_keys(suite, secrets["CLIENT_TRAFFIC_SECRET_0"])
        write = traffic_keys(suite, secrets["SERVER_TRAFFIC_SECRET_0"], sequence=len(records))
    else:
        master, client_random = server.master_key(), server.client_random()
        server_random = server.server_random()
        assert master is not None
        assert client_random is not None
        assert server_random is not None
        finished_nonce = int.from_bytes(records[-1][5:13], "big")
        read, write = tls12_keys(
            suite,
            master,
            client_random,
            server_random,
            explicit_nonce=(finished_nonce + 1) % 2**64 if suite.explicit_nonce_length else 0,
        )
    return OpenSslPeer(client, RecordLayer(ConnectionKeys(suite, read, write)))
