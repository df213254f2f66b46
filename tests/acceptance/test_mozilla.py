"""sslyze's check against Mozilla's server side TLS guidelines, for each TlsPreset and mode.

sslyze wants an older `cryptography` than kssl, so it has an environment of its own: the one of the
program that KSSL_SSLYZE names, or one that is made here.
"""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kssl.proxy.service.spawn import spawn_proxy
from tests.acceptance.conftest import Figure
from tests.acceptance.support import MODES, TIMEOUT
from tests.proxy.frontend.upstreams import Upstream, answer_all, response

pytestmark = pytest.mark.acceptance

VERSION = "6.3.1"

# How long a certificate of these may be good, at most.
LIFESPAN = {"intermediate": datetime.timedelta(days=366), "modern": datetime.timedelta(days=90)}


@pytest.fixture(scope="module")
def sslyze(tmp_path_factory: pytest.TempPathFactory) -> Path:
    known = os.environ.get("KSSL_SSLYZE")
    if known:
        return Path(known)
    folder = tmp_path_factory.mktemp("sslyze")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=TIMEOUT)
    install = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    done = subprocess.run(
        [*install, "--disable-pip-version-check", f"sslyze=={VERSION}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    if done.returncode:
        message = f"sslyze {VERSION} cannot be installed: {done.stderr[-500:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder / "bin" / "sslyze"


@dataclass(frozen=True)
class Issued:
    """ECDSA with P-256; the leaf for localhost, with its key."""

    ca: Path
    leaf: Path


def issue(folder: Path, lifespan: datetime.timedelta) -> Issued:
    authority = ec.generate_private_key(ec.SECP256R1())
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a CA")])
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())

    def builder(name: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + lifespan - datetime.timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(by, False)
        )

    ca = (
        builder(issuer, authority.public_key())
        .add_extension(x509.BasicConstraints(True, None), True)
        .add_extension(_usage(sign=True), True)
        .sign(authority, hashes.SHA256())
    )
    leaf = (
        builder(subject, key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .sign(authority, hashes.SHA256())
    )
    issued = Issued(folder / "ca.pem", folder / "leaf.pem")
    issued.ca.write_bytes(ca.public_bytes(Encoding.PEM))
    issued.leaf.touch(0o600)
    issued.leaf.write_bytes(
        leaf.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return issued


def _usage(*, sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign,
        crl_sign=sign,
        encipher_only=False,
        decipher_only=False,
    )


def check(sslyze: Path, wanted: str, port: int, ca: Path) -> str:
    """What sslyze says behind its scans."""
    done = subprocess.run(
        [
            *(str(sslyze), f"--mozilla_config={wanted}", "--certinfo_ca_file", str(ca)),
            f"localhost:{port}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    _, heading, verdict = done.stdout.partition("COMPLIANCE AGAINST TLS CONFIGURATION")
    assert heading, done.stdout[-3000:] + done.stderr[-1000:]
    assert (done.returncode == 0) is ("OK - Compliant." in verdict)
    return verdict


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("preset", LIFESPAN)
def test_compliant(sslyze: Path, tmp_path: Path, figure: Figure, preset: str, mode: str) -> None:
    issued = issue(tmp_path, LIFESPAN[preset])
    with (
        Upstream(answer_all(response(b"a"))) as upstream,
        (tmp_path / "stderr").open("wb") as stderr,
        spawn_proxy(
            str(upstream.port),
            *("--mode", mode, "--set", f"TlsPreset={preset}", "--cert", str(issued.leaf)),
            state_dir=tmp_path / "state",
            stderr=stderr,
        ) as service,
    ):
        verdict = check(sslyze, preset, service.port, issued.ca)
    assert "OK - Compliant." in verdict, verdict
    figure(f"compliant with {preset}, by sslyze {VERSION}")


def test_the_check_can_fail(sslyze: Path, tmp_path: Path) -> None:
    """Without a preset there are groups that Mozilla does not have, and TLS 1.2."""
    issued = issue(tmp_path, LIFESPAN["modern"])
    with (
        Upstream(answer_all(response(b"a"))) as upstream,
        (tmp_path / "stderr").open("wb") as stderr,
        spawn_proxy(
            str(upstream.port),
            *("--cert", str(issued.leaf)),
            state_dir=tmp_path / "state",
            stderr=stderr,
        ) as service,
    ):
        for wanted, complaint in (("intermediate", "tls_curves"), ("modern", "tls_versions")):
            verdict = check(sslyze, wanted, service.port, issued.ca)
            assert "FAILED - Not compliant." in verdict
            assert complaint in verdict
