"""The OpenSSL contexts for https:// upstreams: whom they trust, and how they prove who we are.

Upstreams that trust the same CAs and show the same certificate share a context; the name is a
matter of the connection. Files are held to the same rules as those of the sites: who could change
a CA file could be the upstream.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from OpenSSL import SSL, crypto

from kssl.config.credentials import pem_credentials
from kssl.config.errors import ConfigError
from kssl.config.pemfile import SourceFile, pem_blocks, read_source
from kssl.fastpath.worker.contexts import client_context
from kssl.fastpath.worker.verification import Identity, Upstream, noticed, verified

# Where distributions have their CAs. pyOpenSSL looks there too: its wheels were built elsewhere.
SYSTEM_BUNDLES = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
)

_CERTIFICATE_LABELS = ("CERTIFICATE", "X509 CERTIFICATE")  # of PEM blocks


class UnknownUpstreamError(Exception):
    """A connection to an upstream that the present configuration does not have."""


# Per file: path and digest. None: the system's CAs; no certificate of ours.
_FileKey = tuple[str, bytes]
_Key = tuple[_FileKey | None, _FileKey | None, _FileKey | None]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """An upstream that can be connected to. ``warnings`` are lines for the log."""

    identity: Identity
    ca: Path | None
    has_certificate: bool
    context: SSL.Context
    known_as: _Key
    warnings: tuple[str, ...]


class Upstreams:
    """`prepare`, then `use`: between them whatever else is loaded may still fail."""

    def __init__(self) -> None:
        self._present: dict[str, Prepared] = {}
        self._before: dict[str, Prepared] = {}
        self._broken: dict[str, str] = {}  # by the last `prepare`: why

    def prepare(
        self, told: Sequence[Mapping[str, Any]], now: datetime, problems: list[str]
    ) -> dict[str, Prepared]:
        """``told``: see `kssl.config.routing.tls_settings`. What is wrong is added to
        ``problems``."""
        # The system's CAs are read again with each configuration: nothing tells of a change there.
        built = {
            each.known_as: each.context for each in self._present.values() if each.ca is not None
        }
        prepared = {}
        self._broken = {}
        for each in told:
            known_as = json.dumps(each, sort_keys=True)
            try:
                prepared[known_as] = _prepare(each, now, built)
            except ConfigError as error:
                self._broken[known_as] = str(error)
                problems.append(str(error))
        return prepared

    def use(self, prepared: dict[str, Prepared]) -> None:
        """From now on. Those of the configuration before stay, because of requests in progress
        that are about to connect; those before that one go."""
        self._before, self._present = self._present, prepared

    @property
    def warnings(self) -> list[str]:
        return [line for each in self._present.values() for line in each.warnings]

    def connect(self, upstream: str) -> SSL.Connection:
        """A new OpenSSL connection in connect state, on memory BIOs, with `Upstream` as its app
        data. ``upstream``: `kssl.config.target.UpstreamTls.to_json`.

        Raises UnknownUpstreamError.
        """
        known = self._present.get(upstream) or self._before.get(upstream)
        if known is None:
            raise UnknownUpstreamError(
                self._broken.get(upstream, "the configuration no longer has this upstream")
            )
        connection = SSL.Connection(known.context, None)
        connection.set_app_data(
            Upstream(identity=known.identity, ca=known.ca, has_certificate=known.has_certificate)
        )
        connection.set_connect_state()
        if known.identity.sni is not None:
            connection.set_tlsext_host_name(known.identity.sni)
        return connection


def _prepare(told: Mapping[str, Any], now: datetime, built: dict[_Key, SSL.Context]) -> Prepared:
    """Raises ConfigError."""
    identity = Identity.of(told["name"])
    ca = _read(told["ca"], "CA")
    certificate, key = _read(told["certificate"], "certificate"), _read(told["key"], "key")
    credentials = None
    if certificate is not None:
        credentials = pem_credentials(certificate, key, now=now, of_server=False)
    known_as = (_file_key(ca), _file_key(certificate), _file_key(key))
    if known_as not in built:
        try:
            context = client_context(credentials)
        except ConfigError as error:
            raise ConfigError(f"{told['certificate']}: {error}") from None
        built[known_as] = _trusting(context, ca)
    return Prepared(
        identity,
        ca.path if ca is not None else None,
        credentials is not None,
        built[known_as],
        known_as,
        tuple(credentials.warnings) if credentials is not None else (),
    )


def _read(path: str | None, what: str) -> SourceFile | None:
    return read_source(Path(path), what, guarded=True) if path is not None else None


def _file_key(file: SourceFile | None) -> _FileKey | None:
    return (str(file.path), hashlib.sha256(file.data).digest()) if file is not None else None


def _trusting(context: SSL.Context, ca: SourceFile | None) -> SSL.Context:
    """Raise ConfigError."""
    if ca is None:
        check_system_cas()
        context.set_default_verify_paths()
    else:
        store = context.get_cert_store()
        assert store is not None  # every context has one
        for each in _trusted(ca):
            store.add_cert(each)
        # Whatever is in the file is trusted: also an intermediate CA, or the upstream's own
        # certificate, without what is above it.
        store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    context.set_verify(SSL.VERIFY_PEER, verified)
    context.set_info_callback(noticed)
    return context


def _trusted(ca: SourceFile) -> list[crypto.X509]:
    """By OpenSSL's parser alone: it has to trust them, and takes some old CAs that others do not.

    Raises ConfigError.
    """
    certificates = []
    for block in pem_blocks(ca, "CA"):
        if block.label in _CERTIFICATE_LABELS:
            try:
                certificates.append(crypto.load_certificate(crypto.FILETYPE_PEM, block.pem))
            except crypto.Error:
                raise ConfigError(
                    f"CA file {ca.path}, line {block.line}: this certificate is damaged; "
                    "copy it again"
                ) from None
        elif block.label == "X509 CRL":
            raise ConfigError(
                f"CA file {ca.path}, line {block.line}: a CRL is not read here; remove it"
            )
    if not certificates:
        raise ConfigError(
            f"CA file {ca.path} holds no certificate; "
            "name the file with -----BEGIN CERTIFICATE-----"
        )
    return certificates


def check_system_cas() -> None:
    """OpenSSL does not say that there are none; then every upstream would be refused.

    Raises ConfigError.
    """
    paths = ssl.get_default_verify_paths()  # of this system's OpenSSL; None: does not exist
    bundles = [*SYSTEM_BUNDLES, *([Path(paths.cafile)] if paths.cafile else [])]
    if any(_is_filled(bundle) for bundle in bundles):
        return
    if paths.capath and any(Path(paths.capath).glob("*.0")):  # named by c_rehash
        return
    raise ConfigError(
        "no CA is installed on this system, so no https:// upstream can be verified; install "
        "the package ca-certificates, or give the upstream's CA as upstream_ca"
    )


def _is_filled(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
