"""OpenSSL contexts: one for all connections to begin on, and one for each certificate; and those
of the connections to upstreams.

A connection begins on the base context, which has no certificate and lives as long as the worker:
its session cache is the one that counts, so sessions outlive a reload that leaves the certificate
and the policy as they were. Once the client's name is known the connection is given the context of
a certificate (`SSL.Connection.set_context`), which brings the certificate, the suites, ALPN, the
key log and the session-ID context with it; options and versions stay the base's.

That must be before OpenSSL sees the ClientHello. Its servername callback is called with every
ClientHello, with and without SNI, but behind the look into the session cache: measured with
OpenSSL 4.0, TLS 1.2 and 1.3, a session of one session-ID context was resumed under another.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass

from cryptography.hazmat.primitives.hashes import SHA256
from OpenSSL import SSL, crypto

from kssl.config.credentials import Credentials
from kssl.config.errors import ConfigError
from kssl.config.keykinds import is_pss, pkcs8
from kssl.config.table import MODERN
from kssl.fastpath.tls.suites import BY_OPENSSL_NAME
from kssl.fastpath.worker.handshake import NoProtocolError, openssl_reason

# What is spoken with clients, best first (`curl --http1.0` offers http/1.0 alone), and with
# upstreams.
_ALPN = (b"http/1.1", b"http/1.0")
UPSTREAM_ALPN = (b"http/1.1",)

_TLS12 = ":".join(name for name, suite in BY_OPENSSL_NAME.items() if not suite.tls13)
_TLS13 = ":".join(name for name, suite in BY_OPENSSL_NAME.items() if suite.tls13)


@dataclass(slots=True)
class Secrets:
    """What OpenSSL's key log tells about one connection. Never printed, never stored."""

    client: bytes = b""
    server: bytes = b""
    # What protects TLS 1.3's records up to Finished; in hex, for few connections need it.
    client_handshake: bytes = b""
    server_handshake: bytes = b""

    def forget(self) -> None:
        """Keep none of them."""
        self.client = self.server = self.client_handshake = self.server_handshake = b""

    def __repr__(self) -> str:
        return "Secrets(…)"


def _key_logged(connection: SSL.Connection, line: bytes) -> None:
    """Called by OpenSSL for each secret: `LABEL client_random secret`, both in hex."""
    label, _, rest = line.partition(b" ")
    secrets = connection.get_app_data()
    if label == b"CLIENT_TRAFFIC_SECRET_0":
        secrets.client = bytes.fromhex(rest.rpartition(b" ")[2].decode())
    elif label == b"SERVER_TRAFFIC_SECRET_0":
        secrets.server = bytes.fromhex(rest.rpartition(b" ")[2].decode())
    elif label == b"CLIENT_HANDSHAKE_TRAFFIC_SECRET":
        secrets.client_handshake = rest.rpartition(b" ")[2]
    elif label == b"SERVER_HANDSHAKE_TRAFFIC_SECRET":
        secrets.server_handshake = rest.rpartition(b" ")[2]


def _alpn_selected(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    for protocol in _ALPN:
        if protocol in offered:
            return protocol
    # RFC 7301 §3.2: the alert is no_application_protocol, and to raise is pyOpenSSL's way to it.
    names = ", ".join(ascii(protocol.decode("ascii", "replace")) for protocol in offered[:3])
    raise NoProtocolError(f"no application protocol in common; the client offers {names}")


def _name_acknowledged(connection: SSL.Connection) -> None:
    """That there is a callback makes OpenSSL answer SNI with the empty extension (RFC 6066 §3)."""


def base_context(preset: str = "") -> SSL.Context:
    """Where all connections begin. Without a certificate: nobody is served by mistake.

    The groups of a ``preset`` are set for the whole process: see
    `kssl.fastpath.tls.openssl_conf`.
    """
    context = _context(b"kssl")
    if preset == MODERN:
        context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    # Of clients' certificates: the path is the verifier's business, and a long one of large keys
    # costs milliseconds for which everybody would wait here.
    context.set_verify_depth(0)
    context.set_tlsext_servername_callback(_name_acknowledged)
    return context


def certificate_context(credentials: Credentials, policy: str) -> SSL.Context:
    """Return the context with which a connection of `base_context` goes on.

    A session that began under one certificate and ``policy`` is not resumed under another.
    """
    context = _context(_session_id_context(credentials, policy))
    _use(context, credentials)
    return context


def _session_id_context(credentials: Credentials, policy: str) -> bytes:
    """Return what binds a session to the server's certificate and to the policy of its site.

    A server must not resume a session for another server name than the one that it began with
    (RFC 6066 §3), because a client that resumes sees no certificate: it believes that the one of
    the session is the one of the name (RFC 9846 §4.7.1). So names share sessions only where they
    have the very same certificate, as those below a wildcard do, and one policy. A certificate
    that was renewed is another one: the next handshake of each of its clients is a full one.
    """
    leaf = credentials.chain[0].fingerprint(SHA256())
    return hashlib.sha256(b"kssl " + leaf + policy.encode()).digest()


def ask_for_certificate(connection: SSL.Connection) -> None:
    """In this handshake, the first: never by renegotiation. Whatever the client presents is taken,
    if it proves that it has the key; the verdict is the verifier's. No CA is named, so a client
    presents what it has, and is told what is wrong with it.

    On the connection, because the context that it is given later does not bring this with it.
    """
    connection.set_verify(SSL.VERIFY_PEER, _accepted)


def _accepted(*_: object) -> bool:
    return True


def client_context(credentials: Credentials | None) -> SSL.Context:
    """For connections to upstreams; ``credentials`` are ours, if one asks for them. It trusts
    nobody yet, and verifies nothing: see `upstreams`.

    Nothing is resumed towards upstreams: their connections are kept open instead, and a session
    would have to be kept apart by name, CA and certificate.
    """
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    _restrict(context)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_alpn_protos(list(UPSTREAM_ALPN))
    if credentials is not None:
        _use(context, credentials)
    return context


def _use(context: SSL.Context, credentials: Credentials) -> None:
    """Raise ConfigError where OpenSSL refuses what we take: a hash that is too weak for its
    security level, say."""
    leaf = credentials.chain[0]
    try:
        if is_pss(leaf):
            _use_pss_key(context, pkcs8(leaf, credentials.key))
        else:
            context.use_privatekey(credentials.key)
        context.use_certificate(leaf)
        for certificate in credentials.chain[1:]:
            context.add_extra_chain_cert(certificate)
        context.check_privatekey()
    except (SSL.Error, crypto.Error) as error:
        raise ConfigError(
            f"OpenSSL does not take the certificate or its key: {openssl_reason(error)}"
        ) from None


def _use_pss_key(context: SSL.Context, der: bytes) -> None:
    """Give OpenSSL the key by its own parser: cryptography's object says that it is one of RSA."""
    with warnings.catch_warnings():
        # There is no other way to one of OpenSSL's own that needs no file.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_ASN1, der))


def _context(session_id: bytes) -> SSL.Context:
    """``session_id``: the session-ID context, 32 bytes at most (SSL_MAX_SID_CTX_LENGTH)."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    _restrict(context)
    context.set_session_id(session_id)
    context.set_alpn_select_callback(_alpn_selected)
    return context


def _restrict(context: SSL.Context) -> None:
    """What both roles have in common."""
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_options(
        SSL.OP_NO_TICKET  # sessions live here, so that an unclean close can drop one
        | SSL.OP_NO_RENEGOTIATION
        | SSL.OP_NO_COMPRESSION
    )
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    # Only suites that our record layer has: what OpenSSL negotiates, it must be able to go on with.
    context.set_cipher_list(_TLS12.encode())
    context.set_tls13_ciphersuites(_TLS13.encode())
    context.set_keylog_callback(_key_logged)
