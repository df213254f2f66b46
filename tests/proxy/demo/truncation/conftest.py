"""An app with TLS, and one run of the scenes with the clients that need no program."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trustme

from kssl.proxy.demo.truncation import run as demonstration
from kssl.proxy.demo.truncation.app import App
from kssl.proxy.demo.truncation.clients import CLIENTS
from kssl.proxy.demo.truncation.run import Result


@dataclass(frozen=True)
class TlsApp:
    """`ca` and `other_ca`, which has issued nothing, are files; `context` is the app's."""

    app: App
    ca: str
    other_ca: str
    context: ssl.SSLContext


@pytest.fixture(scope="module")
def tls_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsApp]:
    authority, folder = trustme.CA(), tmp_path_factory.mktemp("ca")
    ca, other = folder / "ca.pem", folder / "other.pem"
    authority.cert_pem.write_to_path(ca)
    trustme.CA().cert_pem.write_to_path(other)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with App(context) as app:
        yield TlsApp(app, str(ca), str(other), context)


@pytest.fixture(scope="session")
def played() -> Result:
    """Scenes 1 and 2 in both modes; nothing is needed that is not Python."""
    clients = [client for client in CLIENTS if not client.program]
    return demonstration.run(clients=clients, scenes=("reply", "request"), beside=False)
