"""Clients of a `ContextStore`, in memory: which certificate they get and what they resume."""

from __future__ import annotations

import contextlib
import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from kssl.fastpath.tls.clienthello import ClientHelloReader
from kssl.fastpath.worker.handshake import Established, Failure
from kssl.fastpath.worker.server_handshake import ServerHandshake
from kssl.fastpath.worker.store import ContextStore

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

# A session can only be taken up by a connection of the same context.
_CLIENTS: dict[int, SSL.Context] = {}
for _version in (SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION):
    _CLIENTS[_version] = SSL.Context(SSL.TLS_CLIENT_METHOD)
    _CLIENTS[_version].set_min_proto_version(_version)
    _CLIENTS[_version].set_max_proto_version(_version)

KEY = ec.generate_private_key(ec.SECP256R1())


def write_certificate(
    path: Path,
    name: str,
    *,
    key: ec.EllipticCurvePrivateKey = KEY,
    end: datetime.datetime = START + datetime.timedelta(days=36500),
) -> Path:
    """A self-signed certificate with its key in the same file; its common name is ``name``."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(START)
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("app.example")]), False)
        .sign(key, SHA256())
    )
    path.touch(0o600)
    path.write_bytes(
        certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


def told_file(path: Path, policy: str = "") -> dict[str, Any]:
    return {"certificate": str(path), "key": None, "names": [], "policy": policy}


def told_names(*names: str, policy: str = "") -> dict[str, Any]:
    return {"certificate": None, "key": None, "names": list(names), "policy": policy}


@dataclass
class Visit:
    """What a client saw: ``name`` is the certificate's common name, or its first host name."""

    name: str
    names: list[str]  # in the certificate's subjectAltName
    addresses: list[str]  # there too
    resumed: bool
    server_name: str
    session: SSL.Session
    session_id: bytes  # that the server's side was told
    offered: tuple[bytes, ...]  # the session ids in the client's hello
    policy: str  # as the server's side was told
    presented: tuple[bytes, ...]


class RefusedError(Exception):
    """The server's reason."""


def visit(
    store: ContextStore,
    server_name: bytes = b"",
    *,
    endpoint: int = 0,
    tls13: bool = True,
    session: SSL.Session | None = None,
    context: SSL.Context | None = None,
) -> Visit:
    """One connection that ends cleanly on both sides. ``context``: of a client with a
    certificate."""
    version = SSL.TLS1_3_VERSION if tls13 else SSL.TLS1_2_VERSION
    client = SSL.Connection(context or _CLIENTS[version], None)
    client.set_connect_state()
    if server_name:
        client.set_tlsext_host_name(server_name)
    if session is not None:
        client.set_session(session)
    connection, choose = store.accept(endpoint)
    handshake = ServerHandshake(connection, choose)
    established: Established | None = None
    offered = None
    while established is None:
        with contextlib.suppress(SSL.WantReadError):
            client.do_handshake()
        sent = client.bio_read(1 << 16)
        if offered is None:
            hello = ClientHelloReader().add(sent)
            assert hello is not None
            offered = hello.session_ids
        step = handshake.receive(sent)
        if isinstance(step, Failure):
            raise RefusedError(step.reason)
        if isinstance(step, Established):
            established = step
        if flight := step.flight if isinstance(step, Established) else step.data:
            client.bio_write(flight)
    client.do_handshake()
    with contextlib.suppress(SSL.WantReadError):
        client.recv(1)  # the ticket
    for side in (client, connection):
        side.set_shutdown(SSL.SENT_SHUTDOWN | SSL.RECEIVED_SHUTDOWN)
    certificate = client.get_peer_certificate(as_cryptography=True)
    taken = client.get_session()
    assert certificate is not None
    assert taken is not None
    common = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    sans = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return Visit(
        str(common),
        sans.get_values_for_type(x509.DNSName),
        [str(each) for each in sans.get_values_for_type(x509.IPAddress)],
        # pyOpenSSL has the function but does not offer it.
        bool(SSL._lib.SSL_session_reused(client._ssl)),  # type: ignore[attr-defined]
        established.server_name,
        taken,
        established.session_id,
        offered or (),
        established.policy,
        established.certificates,
    )
