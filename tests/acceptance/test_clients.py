"""Clients that people use load the demo app. Each of them verifies the development CA."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kssl.proxy.service.spawn import ProxyProcess
from tests.acceptance.conftest import Figure, Start
from tests.acceptance.support import MODES, fetch
from tests.needs import need

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("mode", MODES)]

_SECONDS = 60.0


def _check(page: str, mode: str) -> None:
    assert "<title>kssl demo</title>" in page
    assert "This page comes from a plain-HTTP app behind a TLS-terminating proxy." in page
    assert f"<small>mode</small> {mode}</span>" in page


def test_curl(proxy: Start, figure: Figure, mode: str) -> None:
    need("curl")
    server = proxy(mode)
    _check(fetch(f"{server.url}/", server.ca).decode(), mode)
    figure("page loaded")


def test_requests(proxy: Start, figure: Figure, mode: str) -> None:
    server = proxy(mode)
    with requests.Session() as session:
        for _ in range(2):
            response = session.get(f"{server.url}/", verify=server.ca, timeout=_SECONDS)
            _check(response.text, mode)
    figure(f"page loaded, requests {requests.__version__}")


def test_httpx(proxy: Start, figure: Figure, mode: str) -> None:
    server = proxy(mode)
    context = httpx.create_ssl_context(verify=True, trust_env=False)
    context.load_verify_locations(server.ca)
    with httpx.Client(verify=context, timeout=_SECONDS) as client:
        for _ in range(2):
            _check(client.get(f"{server.url}/").text, mode)
    figure(f"page loaded, httpx {httpx.__version__}")


_NODE = """
const [url, ca] = process.argv.slice(1);
require('https').get(url, {ca: require('fs').readFileSync(ca)}, response => {
  response.pipe(process.stdout);
});
"""


def test_node(proxy: Start, figure: Figure, mode: str) -> None:
    node, server = need("node"), proxy(mode)
    _check(_run([node, "-e", _NODE, f"{server.url}/", str(server.ca)], dict(os.environ)), mode)
    figure(f"page loaded, node {_run([node, '--version'], dict(os.environ)).strip()}")


def test_chromium(proxy: Start, figure: Figure, tmp_path: Path, mode: str) -> None:
    chromium, server = need("chromium"), proxy(mode)
    environment = dict(os.environ) | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "x")}
    how, trust = _trust_in_nss(server, tmp_path, environment)
    command = [
        chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update",
        "--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", *trust,
        "--dump-dom", f"{server.url}/",
    ]  # fmt: skip
    _check(_run(command, environment), mode)
    version = _run([chromium, "--version"], environment).strip()
    figure(f"page loaded, {version}, {how}")


def _trust_in_nss(
    server: ProxyProcess, home: Path, environment: dict[str, str]
) -> tuple[str, list[str]]:
    """How Chromium comes to trust the CA, and the options that it needs for that."""
    assert server.ca is not None
    certutil = shutil.which("certutil")
    if certutil is None:
        # The certificates of this one public key; all others are still verified.
        key = x509.load_pem_x509_certificate(_leaf_pem(server)).public_key()
        spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
        return "trust by public key", [f"--ignore-certificate-errors-spki-list={pin}"]
    database = home / ".pki" / "nssdb"
    database.mkdir(parents=True)
    name = f"sql:{database}"
    _run([certutil, "-N", "-d", name, "--empty-password"], environment)
    _run([certutil, "-A", "-d", name, "-n", "kssl", "-t", "C,,", "-i", server.ca], environment)
    return "CA in the NSS database", []


def _leaf_pem(server: ProxyProcess) -> bytes:
    return ssl.get_server_certificate(("127.0.0.1", server.port)).encode()


def _run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=_SECONDS, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
