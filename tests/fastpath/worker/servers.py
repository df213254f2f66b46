"""TLS servers in memory that the worker's client handshake talks to, and certificates for them."""

from __future__ import annotations

import contextlib
import datetime
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL

from kssl.fastpath.record.layer import RecordLayer
from kssl.fastpath.worker.client_handshake import ClientHandshake
from kssl.fastpath.worker.handshake import Established, Failure, Flight
from kssl.fastpath.worker.upstreams import Upstreams

NAME = "a.example"
NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


def told(
    name: str = NAME,
    *,
    ca: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> dict[str, str | None]:
    """An element of the settings' ``upstreams``."""
    paths = {"ca": ca, "certificate": certificate, "key": key}
    return {"name": name} | {key: str(path) if path else None for key, path in paths.items()}


def text(upstream: dict[str, Any]) -> str:
    return json.dumps(upstream, sort_keys=True)


def write(path: Path, *pems: bytes) -> Path:
    path.touch(0o600)
    path.write_bytes(b"".join(pems))
    return path


class Pki:
    """A CA and leaves, in files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        self.ca = write(folder / "ca.pem", self.authority.cert_pem.bytes())
        self.ecdsa = self.leaf("ecdsa", NAME, key_type=trustme.KeyType.ECDSA)
        self.rsa = self.leaf("rsa", NAME, key_type=trustme.KeyType.RSA)

    def leaf(self, file: str, *names: str, **options: Any) -> Path:
        """A certificate with its key in one file."""
        issued = self.authority.issue_cert(*names, **options)
        pems = [issued.private_key_pem, *issued.cert_chain_pems]
        return write(self.folder / f"{file}.pem", *(pem.bytes() for pem in pems))

    def self_signed(
        self,
        file: str,
        *,
        name: str = NAME,
        usage: x509.ObjectIdentifier | None = None,
        names: bool = True,
        issuer: Path | None = None,
    ) -> Path:
        """``issuer``: not itself, but this one's key and name; and its chain follows."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer, signed_by, above = key, subject, b""
        if issuer is not None:
            above = issuer.read_bytes()
            loaded = load_pem_private_key(above, None)
            assert isinstance(loaded, ec.EllipticCurvePrivateKey)
            signer, signed_by = loaded, x509.load_pem_x509_certificate(above).subject
            above = above[above.index(b"-----BEGIN CERTIFICATE") :]
        start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signed_by)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=36500))
        )
        if names:
            san = x509.SubjectAlternativeName([x509.DNSName(name)])
            builder = builder.add_extension(san, False)
        if usage is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        certificate = builder.sign(signer, hashes.SHA256())
        return write(
            self.folder / f"{file}.pem",
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            certificate.public_bytes(Encoding.PEM),
            above,
        )


CLIENT_AUTH = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER_AUTH = ExtendedKeyUsageOID.SERVER_AUTH


class Server(Protocol):
    def answer(self, data: bytes) -> bytes:
        """``data`` from the client; what the server then wants to send."""


class PythonServer:
    """Python's own ``ssl``, with an OpenSSL of its own. ``error`` is why its handshake failed."""

    def __init__(
        self,
        certificate: Path,
        *,
        tls13: bool = True,
        alpn: tuple[str, ...] = (),
        curve: str | None = None,
        ciphers: str | None = None,
        client_ca: Path | None = None,
        optional: bool = False,
        like: PythonServer | None = None,
    ) -> None:
        """``like``: with everything of that one, sessions too."""
        self.context: ssl.SSLContext
        self.context = like.context if like is not None else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context = self.context
        version = ssl.TLSVersion.TLSv1_3 if tls13 else ssl.TLSVersion.TLSv1_2
        if like is None:
            context.minimum_version = context.maximum_version = version
        context.load_cert_chain(certificate)
        context.sni_callback = self._named
        if alpn:
            context.set_alpn_protocols(alpn)
        if curve is not None:
            context.set_ecdh_curve(curve)
        if ciphers is not None:
            context.set_ciphers(ciphers)
        if client_ca is not None:
            context.verify_mode = ssl.CERT_OPTIONAL if optional else ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        self.server_name: str | None = None
        self.error: ssl.SSLError | None = None
        self.done = False
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self._in, self._out, server_side=True)

    def _named(self, _ssl: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
        self.server_name = name

    def answer(self, data: bytes) -> bytes:
        self._in.write(data)
        if not self.done and self.error is None:
            try:
                self.ssl.do_handshake()
                self.done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError as error:
                self.error = error
        return self._out.read()

    def write(self, data: bytes) -> bytes:
        """The records of ``data``, and what had to be sent before them."""
        self.ssl.write(data)
        return self._out.read()

    def read(self, records: bytes) -> bytes:
        self._in.write(records)
        data = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            while part := self.ssl.read(65536):
                data += part
        return data

    def close(self) -> bytes:
        """Its close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.ssl.unwrap()
        return self._out.read()


class OpenSslServer:
    """pyOpenSSL, for what Python's ``ssl`` cannot choose: ``prepare`` has the context."""

    def __init__(
        self, certificate: Path, prepare: Callable[[SSL.Context], object] = lambda _: None
    ) -> None:
        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.use_certificate_chain_file(str(certificate))
        context.use_privatekey_file(str(certificate))
        prepare(context)
        self.ssl = SSL.Connection(context, None)
        self.ssl.set_accept_state()
        self.error: SSL.Error | None = None

    def answer(self, data: bytes) -> bytes:
        self.ssl.bio_write(data)
        try:
            self.ssl.do_handshake()
        except SSL.WantReadError:
            pass
        except SSL.Error as error:
            self.error = error
        return self.flush()

    def flush(self) -> bytes:
        try:
            return self.ssl.bio_read(1 << 20)
        except SSL.WantReadError:
            return b""

    def write(self, data: bytes) -> bytes:
        self.ssl.sendall(data)
        return self.flush()

    def read(self, records: bytes) -> bytes:
        self.ssl.bio_write(records)
        data = b""
        with contextlib.suppress(SSL.WantReadError):
            while True:
                data += self.ssl.recv(1 << 16)
        return data


class StuckError(Exception):
    """Each side waits for the other."""


class Result:
    """Of a handshake: what it came to, with the bytes that both sides sent."""

    def __init__(self, step: Established | Failure, to_server: bytes, to_client: bytes) -> None:
        self.step = step
        self.to_server = to_server
        self.to_client = to_client

    @property
    def established(self) -> Established:
        assert isinstance(self.step, Established), self.step.reason
        return self.step

    @property
    def reason(self) -> str:
        assert isinstance(self.step, Failure), "the handshake did not fail"
        return self.step.reason

    def layer(self) -> RecordLayer:
        return RecordLayer(self.established.keys)


def upstreams(*told_ones: dict[str, Any]) -> Upstreams:
    made = Upstreams()
    problems: list[str] = []
    prepared = made.prepare(told_ones, NOW, problems)
    assert not problems
    made.use(prepared)
    return made


def shake(
    upstream: dict[str, Any], server: Server, *, chunk: int = 0, behind: bytes = b""
) -> Result:
    """A whole handshake. ``chunk``: bytes of the server's that come at once, 0 is all.

    ``behind`` follows the server's last flight in the same read. The server then gets the client's
    last flight, too, and what it says to that is part of ``to_client`` alone.
    """
    handshake = ClientHandshake(upstreams(upstream).connect(text(upstream)))
    step: Flight | Established | Failure = handshake.start()
    to_server = to_client = b""
    while True:
        said = step.flight if isinstance(step, Established) else step.data
        to_server += said
        answer = server.answer(said) if said else b""
        to_client += answer
        if not isinstance(step, Flight):
            return Result(step, to_server, to_client)
        if not answer:
            raise StuckError
        answer += behind
        size = chunk or len(answer)
        for start in range(0, len(answer), size):
            step = handshake.receive(answer[start : start + size])
            if not isinstance(step, Flight) or step.data:
                if isinstance(step, Established):
                    step.leftover += answer[start + size :]
                break
