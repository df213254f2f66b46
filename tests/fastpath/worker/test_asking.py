"""The worker asks for certificates where a policy says so, and tells what was presented."""

from __future__ import annotations

from pathlib import Path

import pytest
from OpenSSL import SSL

from kssl.fastpath.worker.store import ContextStore
from tests.fastpath.verifier.rules import pki
from tests.fastpath.worker.visits import told_file, visit, write_certificate

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])


@pytest.fixture
def store(tmp_path: Path) -> ContextStore:
    """ "open" asks for nothing, "asking" does; so do "other", under another policy, and the
    default."""
    files = [write_certificate(tmp_path / f"{name}.pem", name) for name in ("open", "asking")]
    store = ContextStore(tmp_path / "state")
    policies = [(files[0], ""), (files[1], "one"), (files[1], "two")]
    store.load(
        {
            "certificates": [told_file(*each) for each in policies],
            "endpoints": [{"names": {"open": 0, "asking": 1, "other": 2}, "default": 1}],
        }
    )
    return store


def client(tls13: bool, *path: pki.Made) -> SSL.Context:
    """``path``: what it presents, its own certificate first."""
    version = SSL.TLS1_3_VERSION if tls13 else SSL.TLS1_2_VERSION
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    for number, each in enumerate(path):
        if number:
            context.add_extra_chain_cert(each.certificate)
        else:
            context.use_privatekey(each.key)  # type: ignore[arg-type]
            context.use_certificate(each.certificate)
    return context


def path(depth: int) -> list[pki.Made]:
    """A leaf and so many CAs, the root not among them. Expired: nobody looks at that here."""
    above = [pki.self_signed("root")]
    for number in range(depth):
        above.append(above[-1].issue(f"ca {number}", ca=True))
    leaf = above[-1].issue("client", since=-2 * pki.DAY, until=-pki.DAY)
    return [leaf, *reversed(above[1:])]


@every_version
@pytest.mark.parametrize("depth", [0, 1, 30])
def test_what_is_presented_is_told_as_it_was(store: ContextStore, tls13: bool, depth: int) -> None:
    presented = path(depth)
    found = visit(store, b"asking", tls13=tls13, context=client(tls13, *presented))
    assert found.policy == "one"
    assert found.presented == tuple(each.der for each in presented)


@every_version
def test_a_client_need_not_have_one(store: ContextStore, tls13: bool) -> None:
    found = visit(store, b"asking", tls13=tls13)
    assert (found.policy, found.presented) == ("one", ())


@every_version
def test_nobody_is_asked_without_a_policy(store: ContextStore, tls13: bool) -> None:
    found = visit(store, b"open", tls13=tls13, context=client(tls13, *path(1)))
    assert (found.policy, found.presented) == ("", ())


@every_version
def test_a_resumed_session_still_tells(store: ContextStore, tls13: bool) -> None:
    presented = path(2)
    context = client(tls13, *presented)
    session = visit(store, b"asking", tls13=tls13, context=context).session
    for name, resumed in ((b"asking", True), (b"", True), (b"other", False)):
        again = visit(store, name, tls13=tls13, context=context, session=session)
        assert again.resumed is resumed
        assert again.presented == tuple(each.der for each in presented)
    again = visit(store, b"open", tls13=tls13, context=context, session=session)
    assert (again.resumed, again.presented) == (False, ())
