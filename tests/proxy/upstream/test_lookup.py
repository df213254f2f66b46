"""Look-ups over a name server of our own: addresses, TTLs, and what goes wrong."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from kssl.config.target import Target
from kssl.proxy.upstream.lookup import (
    MAX_ADDRESSES,
    Found,
    LookupFailedError,
    fixed,
    look_up,
    resolve,
)
from tests.proxy.upstream.dns import NameServer, without_system


@pytest.fixture
def dns() -> Iterator[NameServer]:
    with NameServer() as server:
        yield server


def test_addresses_and_ttl(dns: NameServer) -> None:
    dns.names["app.test"] = (7, ["127.0.0.2", "127.0.0.3"])
    assert look_up("app.test", dns.servers) == Found(("127.0.0.2", "127.0.0.3"), 7.0)


def test_both_families(dns: NameServer) -> None:
    dns.names["app.test"] = (7, ["127.0.0.2", "::1"])
    found = look_up("app.test", dns.servers)
    assert set(found.addresses) == {"127.0.0.2", "::1"}
    assert found.ttl == 7.0


def test_no_answer_is_remembered(dns: NameServer) -> None:
    """That is for who asks, who may want to know at once: an address does not answer any more."""
    for address in ("127.0.0.2", "127.0.0.3"):
        dns.names["app.test"] = (3600, [address])
        assert look_up("app.test", dns.servers).addresses == (address,)


def test_few_of_many(dns: NameServer) -> None:
    dns.names["app.test"] = (7, [f"127.0.1.{n}" for n in range(25)])
    assert len(look_up("app.test", dns.servers).addresses) == MAX_ADDRESSES


@pytest.mark.parametrize("host", ["no.invalid", "empty.invalid", f"{'x' * 64}.invalid"])
def test_no_such_name(dns: NameServer, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    without_system(monkeypatch)
    dns.names["empty.invalid"] = (7, [])
    with pytest.raises(LookupFailedError) as told:
        look_up(host, dns.servers)
    assert told.value.unknown


def test_a_server_that_fails(dns: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    without_system(monkeypatch)
    dns.broken = True
    with pytest.raises(LookupFailedError, match="failure") as told:
        look_up("app.invalid", dns.servers)
    assert not told.value.unknown


def test_what_only_the_system_knows(dns: NameServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """By mDNS, for one: no TTL. And it has the last word on whether a name exists."""

    def known(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", known)
    assert look_up("printer.invalid", dns.servers) == Found(("192.0.2.1",), None)

    for number, unknown in ((socket.EAI_NONAME, True), (socket.EAI_AGAIN, False)):

        def fails(*_: object, number: int = number, **__: object) -> None:
            raise socket.gaierror(number, "says the system")

        monkeypatch.setattr(socket, "getaddrinfo", fails)
        with pytest.raises(LookupFailedError) as told:
            look_up("printer.invalid", dns.servers)
        assert told.value.unknown is unknown


def test_hosts_without_a_name_server(dns: NameServer) -> None:
    """RFC 6761 §6.3: names below localhost are never asked for."""
    assert set(look_up("app.localhost", dns.servers).addresses) == {"127.0.0.1", "::1"}
    assert dns.asked == []


@pytest.mark.parametrize(
    ("host", "addresses"),
    [
        ("127.0.0.1", ("127.0.0.1",)),
        ("::1", ("::1",)),
        ("LocalHost.", ("127.0.0.1", "::1")),
        ("localhost", ("127.0.0.1", "::1")),
        ("app.localhost", ()),
        ("app.test", ()),
    ],
)
def test_fixed(host: str, addresses: tuple[str, ...]) -> None:
    assert fixed(host) == addresses


def test_resolve() -> None:
    assert resolve(Target("http", "127.0.0.1", 80)) == [(socket.AF_INET, ("127.0.0.1", 80))]
    assert resolve(Target("http", "::1", 80)) == [(socket.AF_INET6, ("::1", 80, 0, 0))]
    assert resolve(Target("http", "localhost", 80, "/x")) == [(socket.AF_UNIX, "/x")]
