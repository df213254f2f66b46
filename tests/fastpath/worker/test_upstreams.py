"""The contexts of upstreams: what is loaded, what is kept, and what a person is told."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from kssl.config.target import UpstreamTls
from kssl.fastpath.worker import upstreams as module
from kssl.fastpath.worker.store import CertificatesError, ContextStore
from kssl.fastpath.worker.upstreams import UnknownUpstreamError, Upstreams
from tests.fastpath.worker.servers import (
    NAME,
    NOW,
    Pki,
    PythonServer,
    shake,
    text,
    told,
    write,
)
from tests.fastpath.worker.visits import told_file, visit, write_certificate


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


@pytest.fixture
def store(tmp_path: Path) -> ContextStore:
    return ContextStore(tmp_path / "state", now=lambda: NOW)


def tls(tmp_path: Path, *upstreams: dict[str, Any]) -> dict[str, Any]:
    site = write_certificate(tmp_path / "site.pem", "site")
    return {
        "certificates": [told_file(site)],
        "endpoints": [{"names": {}, "default": 0}],
        "upstreams": list(upstreams),
    }


def problems(*upstreams: dict[str, Any]) -> list[str]:
    found: list[str] = []
    Upstreams().prepare(upstreams, NOW, found)
    return found


# -- by their JSON -------------------------------------------------------------------------


def test_the_text_of_the_configuration_finds_it(
    store: ContextStore, pki: Pki, tmp_path: Path
) -> None:
    configured = UpstreamTls(NAME, ca=pki.ca, certificate=pki.ecdsa)
    store.load(tls(tmp_path, told(ca=pki.ca, certificate=pki.ecdsa)))
    connection = store.connect(configured.to_json())
    assert connection.get_app_data().identity.name == NAME
    with pytest.raises(UnknownUpstreamError, match="no longer has this upstream"):
        store.connect(UpstreamTls(NAME, ca=pki.ca).to_json())
    for nonsense in ("", "{}", "null", "\0"):
        with pytest.raises(UnknownUpstreamError):
            store.connect(nonsense)


def test_settings_without_upstreams(store: ContextStore, tmp_path: Path) -> None:
    settings = tls(tmp_path)
    del settings["upstreams"]
    store.load(settings)
    assert visit(store).name == "site"


def test_contexts_are_shared(pki: Pki) -> None:
    made, found = Upstreams(), list[str]()
    prepared = made.prepare(
        [told(ca=pki.ca), told("b.example", ca=pki.ca), told(ca=pki.ca, certificate=pki.rsa)],
        NOW,
        found,
    )
    first, second, third = (each.context for each in prepared.values())
    assert first is second
    assert first is not third


# -- loading again -------------------------------------------------------------------------


def test_only_what_changed_is_built_again(store: ContextStore, pki: Pki, tmp_path: Path) -> None:
    upstream = told(ca=pki.ca, certificate=pki.ecdsa)
    store.load(tls(tmp_path, upstream))
    first = store.connect(text(upstream)).get_context()
    store.load(tls(tmp_path, upstream, told(ca=pki.rsa)))
    assert store.connect(text(upstream)).get_context() is first
    write(pki.ca, pki.ca.read_bytes(), pki.ca.read_bytes())
    store.load(tls(tmp_path, upstream))
    assert store.connect(text(upstream)).get_context() is not first


def test_the_systems_cas_are_read_again(store: ContextStore, tmp_path: Path) -> None:
    store.load(tls(tmp_path, told()))
    first = store.connect(text(told())).get_context()
    store.load(tls(tmp_path, told()))
    assert store.connect(text(told())).get_context() is not first


def test_those_of_before_stay_for_one_more_load(
    store: ContextStore, pki: Pki, tmp_path: Path
) -> None:
    old, new = told(ca=pki.ca), told("b.example", ca=pki.ca)
    store.load(tls(tmp_path, old))
    store.load(tls(tmp_path, new))
    assert store.connect(text(old)).get_app_data().identity.name == NAME
    assert store.connect(text(new)).get_app_data().identity.name == "b.example"
    store.load(tls(tmp_path, new))
    with pytest.raises(UnknownUpstreamError):
        store.connect(text(old))


def test_a_load_that_fails_changes_nothing(store: ContextStore, pki: Pki, tmp_path: Path) -> None:
    upstream = told(ca=pki.ca)
    store.load(tls(tmp_path, upstream))
    bad = tls(tmp_path, told(ca=tmp_path / "gone.pem"), told("b.example", ca=pki.ca))
    bad["certificates"].append(told_file(tmp_path / "gone too.pem"))
    for _ in range(2):
        with pytest.raises(CertificatesError) as caught:
            store.load(bad)
        assert caught.value.problems == [
            f"certificate file {tmp_path}/gone too.pem does not exist; check the name",
            f"CA file {tmp_path}/gone.pem does not exist; check the name",
        ]
    store.connect(text(upstream))
    with pytest.raises(UnknownUpstreamError):
        store.connect(text(told("b.example", ca=pki.ca)))


# -- files ---------------------------------------------------------------------------------


def test_every_problem_is_told(pki: Pki, tmp_path: Path) -> None:
    empty, key = write(tmp_path / "empty.pem"), tmp_path / "alone.key"
    write(key, pki.ecdsa.read_bytes().partition(b"-----BEGIN CERTIFICATE")[0])
    missing = tmp_path / "missing.pem"
    broken = write(tmp_path / "broken.pem", pki.ca.read_bytes().replace(b"\nMII", b"\nMI+", 1))
    assert problems(
        told(ca=missing),
        told(ca=empty),
        told(ca=key),
        told(ca=broken),
        told(ca=tmp_path),
        told(certificate=missing),
        told(certificate=pki.ca),
        told(certificate=pki.rsa, key=key),
        told("a b"),
        told(ca=pki.ca),
    ) == [
        f"CA file {missing} does not exist; check the name",
        f"CA file {empty} is empty",
        f"CA file {key} holds no certificate; name the file with -----BEGIN CERTIFICATE-----",
        f"CA file {broken}, line 1: this certificate is damaged; copy it again",
        f"CA file {tmp_path} is a folder; name the file in it",
        f"certificate file {missing} does not exist; check the name",
        f"{pki.ca} holds no private key; name the key's file as well",
        *problems(told(certificate=pki.rsa, key=key)),
        "upstream name 'a b' is neither a host name in ASCII nor an IP address",
    ]
    assert (
        "one of the two files is the wrong one" in problems(told(certificate=pki.rsa, key=key))[0]
    )


@pytest.mark.parametrize("what", ["ca", "certificate"])
def test_a_file_that_others_may_change_is_refused(pki: Pki, what: str) -> None:
    pki.rsa.chmod(0o620)
    (problem,) = problems(told(**{what: pki.rsa}))  # type: ignore[arg-type]
    assert f"run: chmod go-w {pki.rsa}" in problem


def test_warnings(store: ContextStore, pki: Pki, tmp_path: Path) -> None:
    soon = pki.leaf("soon", NAME, not_after=NOW + datetime.timedelta(days=3, hours=1))
    nameless = pki.self_signed("nameless", names=False)
    soon.chmod(0o644)
    store.load(tls(tmp_path, told(certificate=soon), told(certificate=nameless)))
    assert len(store.warnings) == 2
    assert "other users may read this private key" in store.warnings[0]
    assert "expires in 3 days" in store.warnings[1]


def test_key_in_a_file_of_its_own(pki: Pki, tmp_path: Path) -> None:
    key, _, rest = pki.ecdsa.read_bytes().partition(b"-----BEGIN CERTIFICATE")
    paths = (
        write(tmp_path / "c.pem", b"-----BEGIN CERTIFICATE" + rest),
        write(tmp_path / "c.key", key),
    )
    server = PythonServer(pki.ecdsa, client_ca=pki.ca)
    upstream = told(ca=pki.ca, certificate=paths[0], key=paths[1])
    assert shake(upstream, server).established
    assert server.done


# -- the system's CAs ----------------------------------------------------------------------


def test_a_bundle_of_the_system_can_be_given_as_a_file() -> None:
    bundle = next((path for path in module.SYSTEM_BUNDLES if path.is_file()), None)
    if bundle is None:
        pytest.skip("no CAs are installed")
    assert problems(told(ca=bundle)) == []


def test_the_systems_cas_are_used(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL's own variable stands for the system here."""
    monkeypatch.setenv("SSL_CERT_FILE", str(pki.ca))
    assert shake(told(), PythonServer(pki.ecdsa)).established


def test_no_cas_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "SYSTEM_BUNDLES", (tmp_path / "none.crt",))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert problems(told()) == [
        "no CA is installed on this system, so no https:// upstream can be verified; install "
        "the package ca-certificates, or give the upstream's CA as upstream_ca"
    ]
    (tmp_path / "12345678.0").touch()
    assert problems(told()) == []
