"""Certificates, SNI and the OpenSSL contexts of the crypto worker.

The only module that loads private keys. A context is built whole before its first use.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from OpenSSL import SSL

from config.credentials import Credentials, load_credentials
from config.devca import DevelopmentCA, permitted
from fastpath.suites import BY_OPENSSL_NAME
from fastpath.worker.handshake import NoProtocolError

log = logging.getLogger("kssl.worker")

# Leaves issued on demand for names below `localhost`: a client chooses the names, so there is a
# number after which it gets the default certificate. Each costs two small files and a signature.
MAX_NAMES = 100

# How often a served certificate is looked at again, so that a development leaf is renewed in time.
RECHECK = timedelta(hours=1)

ALPN = (b"http/1.1",)

_TLS12 = ":".join(name for name, suite in BY_OPENSSL_NAME.items() if not suite.tls13)
_TLS13 = ":".join(name for name, suite in BY_OPENSSL_NAME.items() if suite.tls13)


@dataclass(slots=True)
class Secrets:
    """What OpenSSL's key log tells about one connection. Never printed, never stored."""

    client: bytes = b""
    server: bytes = b""

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


def _alpn_selected(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    for protocol in ALPN:
        if protocol in offered:
            return protocol
    # RFC 7301 §3.2: the alert is no_application_protocol, and to raise is pyOpenSSL's way to it.
    names = ", ".join(ascii(protocol.decode("ascii", "replace")) for protocol in offered[:3])
    raise NoProtocolError(f"no application protocol in common; the client offers {names}")


def build_context(
    credentials: Credentials, choose: Callable[[SSL.Connection], None]
) -> SSL.Context:
    """A server context for one certificate. ``choose`` is called with the client's SNI known."""
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
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
    context.use_privatekey(credentials.key)
    context.use_certificate(credentials.chain[0])
    for certificate in credentials.chain[1:]:
        context.add_extra_chain_cert(certificate)
    context.check_privatekey()
    context.set_session_id(b"kssl")
    context.set_session_cache_mode(SSL.SESS_CACHE_SERVER)
    context.set_keylog_callback(_key_logged)
    context.set_alpn_select_callback(_alpn_selected)
    context.set_tlsext_servername_callback(choose)
    return context


class ContextStore:
    """Chooses the context for a connection: the configured certificate, or development leaves.

    With a certificate of one's own there is one context. With the development CA, each name
    below `localhost` that a client asks for gets a leaf of its own, made at the first request.
    """

    def __init__(
        self,
        *,
        certificate: Path | None,
        key: Path | None,
        state_dir: Path,
        names: list[str],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Raises ConfigError when the certificate or key cannot be used."""
        self._now = now
        self._names = names
        self._by_name: dict[str, SSL.Context] = {}
        self._issued: set[str] = set()
        self._ca: DevelopmentCA | None = None
        self.warnings: list[str] = []
        if certificate is not None:
            credentials = load_credentials(certificate, key)
            self.warnings += credentials.warnings
            self.default = build_context(credentials, self._choose)
            self.leaf = credentials.chain[0]
        else:
            self._ca = DevelopmentCA.open_or_create(state_dir, now=now())
            self.default, self.leaf = self._development_context(names)
        self._checked = now()

    @property
    def ca_path(self) -> Path | None:
        """The development CA's certificate, or None with a certificate of one's own."""
        return self._ca.ca_path if self._ca is not None else None

    def connection(self) -> SSL.Connection:
        """A new OpenSSL connection in accept state, on memory BIOs."""
        self._renew_if_due()
        connection = SSL.Connection(self.default, None)
        connection.set_app_data(Secrets())
        connection.set_accept_state()
        return connection

    def _development_context(self, names: list[str]) -> tuple[SSL.Context, x509.Certificate]:
        assert self._ca is not None
        certificate, key = self._ca.ensure_leaf(names, now=self._now())
        credentials = load_credentials(certificate, key)
        return build_context(credentials, self._choose), credentials.chain[0]

    def _choose(self, connection: SSL.Connection) -> None:
        """OpenSSL's SNI callback. An exception here would only be printed, so none may leave."""
        if self._ca is None:
            return
        try:
            name = (connection.get_servername() or b"").decode("ascii").lower().rstrip(".")
            if not name or name in self._names or not permitted(name):
                return
            context = self._by_name.get(name)
            if context is None:
                if len(self._issued | {name}) > MAX_NAMES:
                    return
                self._issued.add(name)
                context, _ = self._development_context([name])
                self._by_name[name] = context
            connection.set_context(context)
        except Exception:
            log.exception("no certificate for the name that the client asked for; default served")

    def _renew_if_due(self) -> None:
        if self._ca is None or self._now() - self._checked < RECHECK:
            return
        self._checked = self._now()
        self._by_name.clear()  # made again, and renewed where due, at the next request
        _, current = self._current_leaf()
        if current != self.leaf:
            self.default, self.leaf = self._development_context(self._names)

    def _current_leaf(self) -> tuple[Path, x509.Certificate]:
        assert self._ca is not None
        path, _ = self._ca.ensure_leaf(self._names, now=self._now())
        return path, x509.load_pem_x509_certificate(path.read_bytes())
