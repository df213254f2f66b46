"""A session is bound to the certificate and the policy that it began under (RFC 6066 §3)."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from kssl.fastpath.worker.store import ContextStore
from tests.fastpath.worker.visits import (
    START,
    told_file,
    told_names,
    visit,
    write_certificate,
)

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])
with_or_without = pytest.mark.parametrize("certified", [False, True], ids=["", "client's"])

NOW = START + datetime.timedelta(days=100)


@pytest.fixture
def store(tmp_path: Path) -> ContextStore:
    return ContextStore(tmp_path / "state", now=lambda: NOW)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    return [write_certificate(tmp_path / f"{name}.pem", name) for name in ("zero", "one", "two")]


def tls(certificates: list[dict[str, Any]], default: int = 0, **names: int) -> dict[str, Any]:
    told = {name.replace("_", ".").replace("any", "*"): at for name, at in names.items()}
    return {"certificates": certificates, "endpoints": [{"names": told, "default": default}]}


def client(tls13: bool, certificate: Path | None) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    version = SSL.TLS1_3_VERSION if tls13 else SSL.TLS1_2_VERSION
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    if certificate is not None:
        context.use_certificate_file(str(certificate))
        context.use_privatekey_file(str(certificate))
    return context


@every_version
@with_or_without
@pytest.mark.parametrize(
    ("first", "second", "resumed"),
    [
        (b"zero.example", b"zero.example", True),
        (b"zero.example", b"one.example", False),  # another certificate
        (b"one.example", b"zero.example", False),
        (b"one.example", b"", False),  # the default's is another
        (b"zero.example", b"", True),  # the default's is the same
        (b"", b"zero.example", True),
        (b"a.two.example", b"b.two.example", True),  # one certificate, of a wildcard
        (b"zero.example", b"strict.example", False),  # the same certificate, another policy
        (b"strict.example", b"zero.example", False),
        (b"one.example", b"strict.example", False),
        (b"strict.example", b"strict.example", True),
        (b"strict.example", b"copy.example", True),  # the same certificate from another file
    ],
)
def test_by_name(
    store: ContextStore,
    files: list[Path],
    tmp_path: Path,
    tls13: bool,
    certified: bool,
    first: bytes,
    second: bytes,
    resumed: bool,
) -> None:
    copy = tmp_path / "copy.pem"
    copy.touch(0o600)
    copy.write_bytes(files[0].read_bytes())
    # With a client's certificate all sites ask for one, else one alone.
    usual, strict = ("asks", "asks too") if certified else ("", "asks")
    certificates = [
        told_file(files[0], usual),
        told_file(files[1], usual),
        told_file(files[2], usual),
        told_file(files[0], strict),
        told_file(copy, strict),
    ]
    names = {"zero_example": 0, "one_example": 1, "any_two_example": 2}
    store.load(tls(certificates, **names, strict_example=3, copy_example=4))
    context = client(tls13, files[0] if certified else None)
    began = visit(store, first, tls13=tls13, context=context)
    again = visit(store, second, tls13=tls13, session=began.session, context=context)
    assert not began.resumed
    assert again.resumed is resumed
    assert again.server_name == second.decode()
    assert bool(again.presented) is certified
    by_name = {b"one.example": "one", b"b.two.example": "two"}
    if not resumed:
        assert again.name == by_name.get(second, "zero")


@every_version
def test_development_certificates(store: ContextStore, tls13: bool) -> None:
    """Each name below localhost has a leaf of its own."""
    certificates = [told_names("app.localhost"), told_names("*.localhost")]
    store.load(tls(certificates, app_localhost=0, any_localhost=1))
    session = visit(store, b"app.localhost", tls13=tls13).session
    assert not visit(store, b"other.localhost", tls13=tls13, session=session).resumed
    session = visit(store, b"other.localhost", tls13=tls13).session
    assert not visit(store, b"third.localhost", tls13=tls13, session=session).resumed
    session = visit(store, b"other.localhost", tls13=tls13).session
    assert visit(store, b"other.localhost", tls13=tls13, session=session).resumed


@every_version
def test_a_policy_that_changed_ends_its_sessions(
    store: ContextStore, files: list[Path], tls13: bool
) -> None:
    store.load(tls([told_file(files[0])]))
    session = visit(store, tls13=tls13).session
    store.load(tls([told_file(files[0], "SslRequireCert")]))
    assert not visit(store, tls13=tls13, session=session).resumed


@every_version
def test_sessions_outlive_a_reload(store: ContextStore, files: list[Path], tls13: bool) -> None:
    """Also one after which another site comes first, and the file is another with the same."""
    store.load(tls([told_file(files[0])]))
    session = visit(store, b"one.example", tls13=tls13).session
    moved = files[0].rename(files[0].with_name("moved.pem"))
    store.load(tls([told_file(files[1]), told_file(moved)], one_example=1))
    assert visit(store, b"one.example", tls13=tls13, session=session).resumed


@every_version
def test_a_renewed_certificate_begins_with_full_handshakes(
    store: ContextStore, files: list[Path], tls13: bool
) -> None:
    store.load(tls([told_file(files[0])]))
    session = visit(store, b"one.example", tls13=tls13).session
    write_certificate(files[0], "renewed")  # for the same names and with the same key
    store.load(tls([told_file(files[0])]))
    seen = visit(store, b"one.example", tls13=tls13, session=session)
    assert (seen.resumed, seen.name) == (False, "renewed")
