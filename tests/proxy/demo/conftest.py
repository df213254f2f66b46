"""One demo app for all tests of this folder, and one with TLS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from kssl.proxy.demo.process import DemoProcess, start_demo_app


@dataclass(frozen=True)
class TlsDemo:
    """A demo app that serves HTTPS itself."""

    url: str
    ca: str
    pid: int


@pytest.fixture(scope="session")
def demo() -> Iterator[DemoProcess]:
    with start_demo_app() as process:
        yield process


@pytest.fixture(scope="session")
def tls_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsDemo]:
    folder: Path = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    pem, chain, key = folder / "ca.pem", folder / "app.pem", folder / "app.key"
    ca.cert_pem.write_to_path(pem)
    issued = ca.issue_cert("localhost", "127.0.0.1")
    for certificate in issued.cert_chain_pems:
        certificate.write_to_path(chain, append=True)
    issued.private_key_pem.write_to_path(key)
    with start_demo_app(certfile=str(chain), keyfile=str(key)) as process:
        url = f"https://localhost:{process.port}/"
        yield TlsDemo(url, str(pem), process.process.pid)
