"""kssl.config.devca: what the CA vouches for, to other people's verifiers too, and its files."""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from kssl.config.devca import (
    CA_LIFETIME,
    DEFAULT_NAMES,
    LEAF_LIFETIME,
    LEAF_RENEWAL,
    DevelopmentCA,
    permitted,
)
from kssl.config.errors import ConfigError
from tests.needs import need

NOW = datetime.now(UTC).replace(microsecond=0)
NAMES = ("localhost", "app.localhost", "a.b.localhost", "127.0.0.1", "127.1.2.3", "::1")


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> DevelopmentCA:
    return DevelopmentCA.open_or_create(tmp_path_factory.mktemp("state") / "kssl", NOW)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def general_name(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def openssl_verify(ca: DevelopmentCA, leaf: Path, *more: str) -> subprocess.CompletedProcess[str]:
    command = [need("openssl"), "verify", "-x509_strict", "-purpose", "sslserver", *more]
    return subprocess.run(
        [*command, "-CAfile", str(ca.ca_path), str(leaf)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def verify_by_cryptography(ca: DevelopmentCA, leaf: x509.Certificate, name: str) -> None:
    builder = PolicyBuilder().store(Store([load(ca.ca_path)])).time(NOW)
    builder.build_server_verifier(general_name(name)).verify(leaf, [])


# --- names


@pytest.mark.parametrize("name", [*NAMES, "LOCALHOST", "x-1.localhost", "127.255.255.255", "0::1"])
def test_permitted(name: str) -> None:
    assert permitted(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "example.com",
        "localhost.example.com",
        "notlocalhost",
        "localhost.",
        ".localhost",
        "a..localhost",
        "*.localhost",
        "-a.localhost",
        "a-.localhost",
        "a_b.localhost",
        "ä.localhost",
        "a b.localhost",
        "../localhost",
        "a/b.localhost",
        "a\n.localhost",
        "localhost\n",
        "a" * 64 + ".localhost",
        "a." * 122 + "localhost" + "x",
        "a." * 123 + "localhost",
        "128.0.0.1",
        "0.0.0.0",  # noqa: S104 - a text, nothing listens
        "10.0.0.1",
        "127.1",
        "::2",
        "::",
        "::1%lo",
        "::ffff:127.0.0.1",
        "[::1]",
        "127.0.0.0/8",
    ],
)
def test_not_permitted(ca: DevelopmentCA, name: str) -> None:
    assert not permitted(name)
    with pytest.raises(ConfigError, match="does not vouch for"):
        ca.issue(["localhost", name], NOW)
    with pytest.raises(ConfigError, match="does not vouch for"):
        ca.ensure_leaf([name], NOW)


def test_longest_name_can_be_stored(ca: DevelopmentCA) -> None:
    name = "a." * 122 + "localhost"
    assert len(name) == 253
    certificate, _ = ca.ensure_leaf([name], NOW)
    assert openssl_verify(ca, certificate, "-verify_hostname", name).returncode == 0


def test_no_names(ca: DevelopmentCA) -> None:
    with pytest.raises(ConfigError, match="at least one name"):
        ca.issue([], NOW)


# --- certificates, as others see them


@pytest.mark.parametrize("name", NAMES)
def test_leaf_is_accepted_by_openssl_and_cryptography(ca: DevelopmentCA, name: str) -> None:
    certificate, _ = ca.ensure_leaf([name], NOW)
    option = "-verify_ip" if isinstance(general_name(name), x509.IPAddress) else "-verify_hostname"
    result = openssl_verify(ca, certificate, option, name)
    assert result.returncode == 0, result.stderr
    verify_by_cryptography(ca, load(certificate), name)
    with pytest.raises(VerificationError):
        verify_by_cryptography(ca, load(certificate), "other.localhost")


def test_default_leaf_serves_every_default_name(ca: DevelopmentCA) -> None:
    certificate, _ = ca.ensure_leaf(now=NOW)
    for name in DEFAULT_NAMES:
        verify_by_cryptography(ca, load(certificate), name)


def forged(ca: DevelopmentCA, names: Sequence[str], *, is_ca: bool = False) -> x509.Certificate:
    """A certificate that the CA's key signs although `issue` would not."""
    key = ec.generate_private_key(ec.SECP256R1())
    ca_key = load_pem_private_key(ca.ca_path.with_suffix(".key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    template = ca.issue(["localhost"], NOW).certificate
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "forged")]))
        .issuer_name(template.issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(template.not_valid_before_utc)
        .not_valid_after(template.not_valid_after_utc)
    )
    for extension in template.extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            value = x509.SubjectAlternativeName([general_name(name) for name in names])
        elif isinstance(value, x509.SubjectKeyIdentifier):
            value = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        elif isinstance(value, x509.BasicConstraints) and is_ca:
            value = x509.BasicConstraints(ca=True, path_length=None)
        builder = builder.add_extension(value, extension.critical)
    return builder.sign(ca_key, SHA256())


@pytest.mark.parametrize("name", ["example.com", "localhost.example.com", "10.0.0.1", "::2"])
def test_forged_leaf_breaks_the_name_constraints(
    ca: DevelopmentCA, tmp_path: Path, name: str
) -> None:
    # First that the forgery is good but for its name.
    path = tmp_path / "forged.pem"
    path.write_bytes(forged(ca, ["localhost"]).public_bytes(Encoding.PEM))
    assert openssl_verify(ca, path).returncode == 0
    path.write_bytes(forged(ca, ["localhost", name]).public_bytes(Encoding.PEM))
    result = openssl_verify(ca, path)
    assert result.returncode != 0
    assert "permitted subtree violation" in result.stderr + result.stdout
    with pytest.raises(VerificationError):
        verify_by_cryptography(ca, load(path), name)


def test_ca_is_no_good_for_client_certificates(ca: DevelopmentCA, tmp_path: Path) -> None:
    path = tmp_path / "leaf.pem"
    path.write_bytes(ca.issue(["localhost"], NOW).certificate_pem)
    assert openssl_verify(ca, path).returncode == 0
    assert openssl_verify(ca, path, "-purpose", "sslclient").returncode != 0


def test_ca_certificate(ca: DevelopmentCA) -> None:
    certificate = ca.certificate
    found = {type(each.value): each for each in certificate.extensions}
    basic = found[x509.BasicConstraints]
    assert basic.critical
    assert basic.value == x509.BasicConstraints(ca=True, path_length=0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.key_cert_sign, usage.value.crl_sign) == (True, True)
    assert not usage.value.digital_signature
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    assert constraints.value.permitted_subtrees == [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_network("127.0.0.0/8")),
        x509.IPAddress(ipaddress.ip_network("::1/128")),
    ]
    assert x509.SubjectKeyIdentifier in found
    subject = certificate.subject.rfc4514_string()
    assert subject.startswith("CN=kssl development CA ")
    assert os.uname().nodename not in subject
    assert certificate.not_valid_after_utc == NOW + CA_LIFETIME


def test_leaf_certificate(ca: DevelopmentCA) -> None:
    leaf = ca.issue(["LocalHost", "::1", "localhost"], NOW)
    certificate = leaf.certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names) == [general_name("localhost"), general_name("::1")]
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.digital_signature
    assert not usage.key_cert_sign
    assert isinstance(leaf.key.curve, ec.SECP256R1)
    assert certificate.not_valid_before_utc == NOW - timedelta(hours=1)
    assert certificate.not_valid_after_utc == NOW + LEAF_LIFETIME
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime < timedelta(days=398)
    # No name in the subject that a verifier could take for a host name.
    assert certificate.subject.rfc4514_string() == "CN=kssl development leaf"
    assert ca.issue(["localhost"], NOW).certificate.serial_number != certificate.serial_number


def test_reprs_show_no_key(ca: DevelopmentCA) -> None:
    leaf = ca.issue(["localhost"], NOW)
    assert "key" not in repr(leaf).lower()
    assert "PRIVATE" not in repr(ca) + repr(leaf)
    assert "_key" not in repr(ca)


# --- the same, over a connection


def serve_once(context: ssl.SSLContext, listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with context.wrap_socket(connection, server_side=True) as tls:
        tls.recv(4096)
        tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


NODE_PROGRAM = (
    "const r = require('https').get({host: '127.0.0.1', port: process.argv[1],"
    " servername: 'app.localhost', headers: {host: 'app.localhost'}},"
    " s => s.pipe(process.stdout)); r.on('error', e => { console.error(e); process.exit(1) })"
)


@pytest.mark.parametrize("client", ["curl", "node"])
def test_real_clients_accept_the_leaf(ca: DevelopmentCA, client: str) -> None:
    need(client, {"node": "nodejs"}.get(client))
    certificate, key = ca.ensure_leaf(["app.localhost"], NOW)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        port = str(listener.getsockname()[1])
        thread = threading.Thread(target=serve_once, args=(context, listener))
        thread.start()
        if client == "curl":
            command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(ca.ca_path)]
            command += ["--resolve", f"app.localhost:{port}:127.0.0.1"]
            command += [f"https://app.localhost:{port}/"]
        else:
            command = ["node", "-e", NODE_PROGRAM, port]
        environment = {**os.environ, "NODE_EXTRA_CA_CERTS": str(ca.ca_path)}
        result = subprocess.run(
            command, env=environment, capture_output=True, timeout=60, check=False
        )
        thread.join()
    assert (result.returncode, result.stdout) == (0, b"ok"), result.stderr


# --- the files of the CA


def test_made_once_with_the_right_modes(tmp_path: Path) -> None:
    state = tmp_path / "kssl"
    first = DevelopmentCA.open_or_create(state, NOW)
    second = DevelopmentCA.open_or_create(state, NOW + timedelta(days=1))
    assert first.certificate == second.certificate
    assert first.ca_path == state / "ca.pem"
    certificate, key = first.ensure_leaf(["localhost"], NOW)
    assert (certificate, key) == (state / "leaves/localhost.pem", state / "leaves/localhost.key")
    modes = {path.relative_to(state).as_posix(): mode(path) for path in state.rglob("*")}
    assert modes == {
        "ca.pem": 0o644,
        "ca.key": 0o600,
        "lock": 0o600,
        "leaves": 0o700,
        "leaves/localhost.pem": 0o644,
        "leaves/localhost.key": 0o600,
    }
    assert mode(state) == 0o700


def test_two_processes_at_once_make_one_ca(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from kssl.config.devca import DevelopmentCA\n"
        "print('ready', flush=True); sys.stdin.read()\n"
        "ca = DevelopmentCA.open_or_create(Path(sys.argv[1])); ca.ensure_leaf()\n"
        "print(ca.certificate.serial_number)"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "kssl")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    serials = {process.communicate(timeout=60)[0] for process in processes}
    assert {process.returncode for process in processes} == {0}
    assert serials == {f"{load(tmp_path / 'kssl/ca.pem').serial_number}\n"}
    assert len(list((tmp_path / "kssl/leaves").iterdir())) == 2


def test_ca_is_replaced_before_leaves_would_outlive_it(tmp_path: Path) -> None:
    first = DevelopmentCA.open_or_create(tmp_path, NOW)
    last_day = NOW + CA_LIFETIME - LEAF_LIFETIME
    assert DevelopmentCA.open_or_create(tmp_path, last_day).certificate == first.certificate
    assert first.issue(["localhost"], last_day).certificate.not_valid_after_utc == NOW + CA_LIFETIME
    later = last_day + timedelta(seconds=1)
    second = DevelopmentCA.open_or_create(tmp_path, later)
    assert second.certificate != first.certificate
    assert second.certificate.subject != first.certificate.subject
    with pytest.raises(ConfigError, match="restart kssl"):
        first.ensure_leaf(now=later)


def test_key_without_certificate_is_what_a_crash_leaves(tmp_path: Path) -> None:
    first = DevelopmentCA.open_or_create(tmp_path, NOW)
    first.ca_path.unlink()
    second = DevelopmentCA.open_or_create(tmp_path, NOW)
    assert second.certificate != first.certificate


def test_clock_before_the_ca(tmp_path: Path) -> None:
    DevelopmentCA.open_or_create(tmp_path, NOW)
    with pytest.raises(ConfigError, match="set the clock"):
        DevelopmentCA.open_or_create(tmp_path, NOW - timedelta(days=1))


def test_damaged_ca_files_are_named(tmp_path: Path) -> None:
    DevelopmentCA.open_or_create(tmp_path / "one", NOW)
    state = tmp_path / "two"
    certificate_path, key_path = state / "ca.pem", state / "ca.key"

    def fresh() -> None:
        shutil.rmtree(state, ignore_errors=True)
        DevelopmentCA.open_or_create(state, NOW)

    def refused(words: str) -> None:
        with pytest.raises(ConfigError, match=words) as caught:
            DevelopmentCA.open_or_create(state, NOW)
        assert "BEGIN" not in str(caught.value)
        assert caught.value.__cause__ is None

    fresh()
    key_path.chmod(0o644)
    refused(r"others may use the private key .*ca\.key \(mode 0644\); run: chmod 600")
    fresh()
    key_path.unlink()
    refused(r"ca\.key is missing; delete")
    fresh()
    key_path.write_bytes((tmp_path / "one/ca.key").read_bytes())
    refused(r"ca\.key is not the key of .*ca\.pem; delete")
    fresh()
    key_path.write_bytes(b"junk")
    refused(r"ca\.key is not a PEM private key on P-256")
    fresh()
    certificate_path.write_bytes(b"junk")
    refused(r"ca\.pem is not a PEM certificate; delete")


# --- the files of a leaf


def test_leaf_is_reused_until_a_third_of_its_life_is_left(tmp_path: Path) -> None:
    ca = DevelopmentCA.open_or_create(tmp_path, NOW)
    certificate, key = ca.ensure_leaf(now=NOW)
    before, key_before = certificate.read_bytes(), key.read_bytes()
    assert ca.ensure_leaf(now=NOW + LEAF_LIFETIME - LEAF_RENEWAL) == (certificate, key)
    assert certificate.read_bytes() == before
    late = NOW + LEAF_LIFETIME - LEAF_RENEWAL + timedelta(seconds=1)
    assert ca.ensure_leaf(now=late) == (certificate, key)
    assert certificate.read_bytes() != before
    assert load(certificate).not_valid_after_utc == late + LEAF_LIFETIME
    # The key stays, so that no reader ever meets a pair that does not match.
    assert key.read_bytes() == key_before


def test_sets_of_names_have_files_of_their_own(tmp_path: Path) -> None:
    ca = DevelopmentCA.open_or_create(tmp_path, NOW)
    sets = [["localhost"], list(DEFAULT_NAMES), ["localhost", "a.localhost"], ["::1"]]
    assert len({ca.ensure_leaf(names, NOW) for names in sets}) == len(sets)
    assert ca.ensure_leaf(["LOCALHOST", "localhost"], NOW) == ca.ensure_leaf(["localhost"], NOW)


def test_leaf_is_made_anew_if_it_does_not_serve(tmp_path: Path) -> None:
    ca = DevelopmentCA.open_or_create(tmp_path / "state", NOW)
    certificate, key = ca.ensure_leaf(["localhost"], NOW)
    others = DevelopmentCA.open_or_create(tmp_path / "other", NOW).ensure_leaf(["localhost"], NOW)
    app, app_key = ca.ensure_leaf(["app.localhost"], NOW)

    def is_good() -> bool:
        leaf = load(ca.ensure_leaf(["localhost"], NOW)[0])
        verify_by_cryptography(ca, leaf, "localhost")
        stored = load_pem_private_key(key.read_bytes(), None)
        return bool(stored.public_key() == leaf.public_key())

    certificate.write_bytes(others[0].read_bytes())
    key.write_bytes(others[1].read_bytes())
    assert is_good()  # after the CA changed
    key.write_bytes(others[1].read_bytes())
    assert is_good()  # with another key
    certificate.write_bytes(app.read_bytes())
    key.write_bytes(app_key.read_bytes())
    assert is_good()  # with other names
    certificate.write_bytes(b"junk")
    key.write_bytes(b"junk")
    assert is_good()  # damaged
    key.unlink()
    assert is_good()
    certificate.unlink()
    assert is_good()
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        ca.ensure_leaf(["localhost"], NOW)


def test_clock_that_went_back_renews_the_leaf(tmp_path: Path) -> None:
    ca = DevelopmentCA.open_or_create(tmp_path, NOW)
    future = NOW + timedelta(days=10)
    certificate, _ = ca.ensure_leaf(now=future)
    ca.ensure_leaf(now=NOW)
    assert load(certificate).not_valid_before_utc <= NOW
