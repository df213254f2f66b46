"""Which development certificate goes to which hello: with IP addresses only if it names no host.

BoringSSL refuses a certificate with IP addresses below a CA with name constraints on them.
"""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from cryptography import x509

from kssl.fastpath.worker.store import RECHECK, ContextStore
from tests.fastpath.worker.visits import START, Visit, told_names, visit

every_version = pytest.mark.parametrize("tls13", [True, False], ids=["TLS1.3", "TLS1.2"])

LOOPBACK = ["127.0.0.1", "::1"]


class Clock:
    now = START

    def __call__(self) -> datetime.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> ContextStore:
    return ContextStore(tmp_path / "state", now=clock)


def load(store: ContextStore, *names: str) -> None:
    found = {"names": dict.fromkeys(names, 0), "default": 0}
    store.load({"certificates": [told_names(*names)], "endpoints": [found]})


def shown(seen: Visit) -> tuple[list[str], list[str]]:
    return seen.names, seen.addresses


@every_version
@pytest.mark.parametrize(
    ("asked", "names", "addresses"),
    [
        (b"", ["localhost"], LOOPBACK),
        (b"localhost", ["localhost"], []),
        (b"LOCALHOST.", ["localhost"], []),
        (b"a.localhost", ["a.localhost"], []),
        (b"other.example", ["localhost"], []),
        # Not a host's name, yet sent by some clients.
        (b"127.0.0.1", ["localhost"], LOOPBACK),
        (b"::1", ["localhost"], LOOPBACK),
        (b"\xff\xfe", ["localhost"], LOOPBACK),  # taken for none
    ],
)
def test_by_hello(
    store: ContextStore, tls13: bool, asked: bytes, names: list[str], addresses: list[str]
) -> None:
    load(store, "localhost", *LOOPBACK)
    assert shown(visit(store, asked, tls13=tls13)) == (names, addresses)


@pytest.mark.parametrize(
    ("site", "asked", "names", "addresses"),
    [
        (("127.0.0.2",), b"", [], ["127.0.0.2"]),
        (("127.0.0.2",), b"other.example", [], ["127.0.0.2"]),  # there is nothing else
        (("a.localhost",), b"", ["a.localhost"], []),
        (("a.localhost", "b.localhost"), b"b.localhost", ["a.localhost", "b.localhost"], []),
        (("a.localhost", "::1"), b"a.localhost", ["a.localhost"], []),
        (("a.localhost", "::1"), b"", ["a.localhost"], ["::1"]),
        (("*.localhost",), b"", ["localhost"], LOOPBACK),
        (("*.localhost",), b"a.localhost", ["a.localhost"], []),
        (("*.localhost",), b"other.example", ["localhost"], []),
    ],
)
def test_by_site(
    store: ContextStore,
    site: tuple[str, ...],
    asked: bytes,
    names: list[str],
    addresses: list[str],
) -> None:
    load(store, *site)
    assert shown(visit(store, asked)) == (names, addresses)


@every_version
def test_sessions_are_of_one_of_them(store: ContextStore, tls13: bool) -> None:
    load(store, "localhost", *LOOPBACK)
    for first, second in ((b"", b"localhost"), (b"localhost", b"")):
        session = visit(store, first, tls13=tls13).session
        assert not visit(store, second, tls13=tls13, session=session).resumed
        session = visit(store, first, tls13=tls13).session
        assert visit(store, first, tls13=tls13, session=session).resumed


def test_both_are_kept_and_renewed(store: ContextStore, clock: Clock) -> None:
    load(store, "localhost", *LOOPBACK)
    sessions = {asked: visit(store, asked).session for asked in (b"", b"localhost")}
    load(store, "localhost", *LOOPBACK)
    sessions = {asked: visit(store, asked, session=sessions[asked]).session for asked in sessions}
    clock.now += datetime.timedelta(days=80) + RECHECK
    for asked, session in sessions.items():
        seen = visit(store, asked, session=session)
        assert not seen.resumed
        assert seen.addresses == ([] if asked else LOOPBACK)


def test_the_ca_stays_constrained(store: ContextStore) -> None:
    load(store, "localhost", *LOOPBACK)
    assert store.ca_path is not None
    ca = x509.load_pem_x509_certificate(store.ca_path.read_bytes())
    found = ca.extensions.get_extension_for_class(x509.NameConstraints)
    assert found.critical
    assert found.value.excluded_subtrees is None
    assert sorted(str(each.value) for each in found.value.permitted_subtrees or ()) == [
        "127.0.0.0/8",
        "::1/128",
        "localhost",
    ]
