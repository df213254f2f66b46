"""Who is believed to be the upstream, who is not, and what a person is told about it."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
import trustme

from kssl.config.errors import ConfigError
from kssl.fastpath.worker.client_handshake import ClientHandshake
from kssl.fastpath.worker.verification import Identity
from tests.fastpath.worker.servers import (
    CLIENT_AUTH,
    NAME,
    SERVER_AUTH,
    Pki,
    PythonServer,
    shake,
    text,
    told,
    upstreams,
    write,
)

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])

UNTRUSTED = "its certificate is not signed by a CA that is trusted here"


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


# OpenSSL's alert when it is satisfied and the callback is not.
BY_CALLBACK = "internal error"


def refused(server: PythonServer, reason: str, alert: str, **options: Path | None) -> None:
    """No keys, and the server is told by ``alert``."""
    result = shake(told(**options), server)  # type: ignore[arg-type]
    assert result.reason == reason
    assert not server.done
    assert isinstance(server.error, ssl.SSLError) or alert == ""
    assert alert.replace(" ", "_") in str(server.error).lower().replace(" ", "_")


# -- names ---------------------------------------------------------------------------------


@every_version
def test_a_wrong_name(pki: Pki, tls13: bool) -> None:
    leaf = pki.leaf("wrong", "b.example", "c.example")
    refused(
        PythonServer(leaf, tls13=tls13),
        "its certificate is for b.example, c.example, not for a.example",
        BY_CALLBACK,
        ca=pki.ca,
    )


def test_many_wrong_names(pki: Pki) -> None:
    leaf = pki.leaf("many", *(f"{number}.example" for number in range(50)))
    reason = shake(told(ca=pki.ca), PythonServer(leaf)).reason
    assert reason.endswith("is for 0.example, 1.example, 2.example and 47 more, not for a.example")


def test_no_names(pki: Pki) -> None:
    """The common name would be the right one."""
    path = pki.self_signed("nameless", names=False)
    refused(
        PythonServer(path),
        "its certificate names no host (no subjectAltName), so not a.example either",
        BY_CALLBACK,
        ca=path,
    )


@pytest.mark.parametrize(
    ("certified", "name", "good"),
    [
        ("*.example", "a.example", False),  # too few labels behind the star
        ("*.b.example", "a.b.example", True),
        ("*.b.example", "A.B.Example", True),
        ("*.b.example", "b.example", False),
        ("*.b.example", "x.a.b.example", False),
        ("xn--caf-dma.example", "xn--caf-dma.example", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("::1", "::1", True),
        ("::1", "0:0:0:0:0:0:0:1", True),
        ("a.example", "127.0.0.1", False),
        ("127.0.0.1", "a.example", False),
    ],
)
def test_names(pki: Pki, certified: str, name: str, good: bool) -> None:
    server = PythonServer(pki.leaf("named", certified))
    result = shake(told(name, ca=pki.ca), server)
    if good:
        assert result.established.server_name == name
        assert server.done
    else:
        assert result.reason == f"its certificate is for {certified}, not for {name}"
    is_address = name[0] in "01:2"
    assert server.server_name == (None if is_address else name.lower())


def test_names_of_other_kinds_do_no_harm(pki: Pki) -> None:
    """Addresses of e-mail, and a DNS name that no host can have, beside the right one."""
    leaf = pki.leaf("kinds", "someone@a.example", "*.example", "10.0.0.0/8", NAME)
    assert shake(told(ca=pki.ca), PythonServer(leaf)).established


@pytest.mark.parametrize(
    "name", ["", "a b", "12345", "caf\xe9.example", "a/b", "*.example", "[::1]"]
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ConfigError, match="neither a host name in ASCII nor an IP address"):
        Identity.of(name)


# -- chains --------------------------------------------------------------------------------


@every_version
def test_another_ca(pki: Pki, tls13: bool, tmp_path: Path) -> None:
    other = write(tmp_path / "other.pem", trustme.CA().cert_pem.bytes())
    refused(
        PythonServer(pki.ecdsa, tls13=tls13),
        f"{UNTRUSTED} (unable to get local issuer certificate); only those of upstream_ca are",
        "unknown ca",
        ca=other,
    )


def test_the_systems_cas_do_not_know_it(pki: Pki) -> None:
    refused(
        PythonServer(pki.ecdsa),
        f"{UNTRUSTED} (unable to get local issuer certificate); give its CA as upstream_ca",
        "unknown ca",
    )


@every_version
def test_self_signed(pki: Pki, tls13: bool) -> None:
    path = pki.self_signed("self")
    assert shake(told(ca=path), PythonServer(path, tls13=tls13)).established
    refused(
        PythonServer(path, tls13=tls13),
        f"{UNTRUSTED} (self-signed certificate); give its CA as upstream_ca",
        "unknown ca",
    )


def test_an_intermediate_and_a_leaf_as_ca(pki: Pki, tmp_path: Path) -> None:
    intermediate = pki.authority.create_child_ca()
    issued = intermediate.issue_cert(NAME)
    chain = [issued.private_key_pem, *issued.cert_chain_pems]
    leaf = write(tmp_path / "leaf.pem", *(pem.bytes() for pem in chain))
    for anchor in (intermediate.cert_pem, issued.cert_chain_pems[0]):
        ca = write(tmp_path / "anchor.pem", anchor.bytes())
        assert shake(told(ca=ca), PythonServer(leaf)).established
    assert shake(told(ca=pki.ca), PythonServer(leaf)).established


def test_a_bundle(pki: Pki, tmp_path: Path) -> None:
    other = trustme.CA().cert_pem.bytes()
    bundle = write(tmp_path / "bundle.pem", other, pki.ca.read_bytes(), other)
    assert shake(told(ca=bundle), PythonServer(pki.ecdsa)).established


def test_a_server_that_leaves_out_its_intermediate(pki: Pki, tmp_path: Path) -> None:
    issued = pki.authority.create_child_ca().issue_cert(NAME)
    pems = (issued.private_key_pem.bytes(), issued.cert_chain_pems[0].bytes())
    server = PythonServer(write(tmp_path / "leaf.pem", *pems))
    assert shake(told(ca=pki.ca), server).reason.startswith(UNTRUSTED)


def test_a_leaf_that_issues(pki: Pki) -> None:
    """A leaf of a trusted CA is no CA itself."""
    path = pki.self_signed("issued", issuer=pki.ecdsa)
    reason = shake(told(ca=pki.ca), PythonServer(path)).reason
    assert reason.startswith("the CA above its certificate (OU=")
    assert reason.endswith("issues certificates and is no CA")


def test_underscores(pki: Pki) -> None:
    """No host name syntax, but container networks have them."""
    path = pki.self_signed("underscore", name="a_b.example")
    assert shake(told("a_b.example", ca=path), PythonServer(path)).established


@pytest.mark.parametrize("trusted", ["itself", "nothing"])
@every_version
def test_a_certificate_that_is_not_for_servers(pki: Pki, tls13: bool, trusted: str) -> None:
    path = pki.self_signed("usage", usage=CLIENT_AUTH)
    server = PythonServer(path, tls13=tls13)
    reason = shake(told(ca=path if trusted == "itself" else None), server).reason
    if trusted == "itself":
        assert reason == (
            "its certificate is not for servers (extendedKeyUsage without serverAuth, or keyUsage)"
        )
    assert not server.done
    good = pki.self_signed("usage", usage=SERVER_AUTH)
    assert shake(told(ca=good), PythonServer(good, tls13=tls13)).established


# -- dates ---------------------------------------------------------------------------------


def test_expired(pki: Pki) -> None:
    end = datetime.datetime(2026, 2, 3, 4, 5, tzinfo=datetime.UTC)
    leaf = pki.leaf("expired", NAME, not_after=end)
    refused(
        PythonServer(leaf),
        "its certificate has expired on 2026-02-03 04:05 UTC",
        "certificate expired",
        ca=pki.ca,
    )


def test_not_yet_valid(pki: Pki) -> None:
    start = datetime.datetime(2090, 1, 1, tzinfo=datetime.UTC)
    leaf = pki.leaf("early", NAME, not_before=start, not_after=start + datetime.timedelta(days=10))
    refused(
        PythonServer(leaf),
        "its certificate is valid only from 2090-01-01 00:00 UTC; check the clock",
        "bad certificate",
        ca=pki.ca,
    )


# -- fail closed ---------------------------------------------------------------------------


def test_a_bug_in_the_check_lets_nobody_through(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Identity, certificate: object) -> str | None:
        raise KeyError("oops")

    monkeypatch.setattr(Identity, "mismatch", broken)
    refused(
        PythonServer(pki.ecdsa),
        "its certificate cannot be read ('oops')",
        BY_CALLBACK,
        ca=pki.ca,
    )


@every_version
def test_no_keys_without_verification(pki: Pki, tls13: bool) -> None:
    """Should OpenSSL ever not ask."""
    upstream = told(ca=pki.ca)
    connection = upstreams(upstream).connect(text(upstream))
    connection.set_verify(0, lambda *asked: True)
    handshake = ClientHandshake(connection)
    server = PythonServer(pki.ecdsa, tls13=tls13)
    step = handshake.start()
    while hasattr(step, "data") and not hasattr(step, "reason"):
        step = handshake.receive(server.answer(step.data))
    assert getattr(step, "reason", "") == "its certificate was not verified"


def test_secrets_are_not_shown(pki: Pki) -> None:
    upstream = told(ca=pki.ca)
    connection = upstreams(upstream).connect(text(upstream))
    connection.get_app_data().client = b"hush"
    assert repr(connection.get_app_data()) == "Secrets(…)"
