"""Sockets that listen: on all addresses of a name, on one port."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from kssl.config.errors import ConfigError
from kssl.config.target import Listen
from kssl.proxy.service.sockets import open_listeners


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


IPV6 = has_ipv6()
needs_ipv6 = pytest.mark.skipif(not IPV6, reason="no IPv6 here")


@contextlib.contextmanager
def listening(listen: Listen) -> Iterator[list[tuple[Any, ...]]]:
    """The addresses that are listened on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(sock) for sock in open_listeners(listen)]
        yield [sock.getsockname()[:2] for sock in sockets]


@contextlib.contextmanager
def refusing(
    monkeypatch: pytest.MonkeyPatch, number: int, *, times: int, host: str = "::1"
) -> Iterator[list[tuple[Any, ...]]]:
    """The first ``times`` sockets on ``host`` fail."""
    create = socket.create_server
    refused: list[tuple[Any, ...]] = []

    def fails(address: tuple[Any, ...], **options: Any) -> socket.socket:
        if address[0] == host and len(refused) < times:
            refused.append(address)
            raise OSError(number, "refused by the test")
        if address[0] == "::1" and not IPV6:
            return create(("127.0.0.1", 0))
        return create(address, **options)

    with monkeypatch.context() as patch:
        patch.setattr(socket, "create_server", fails)
        yield refused


@needs_ipv6
def test_localhost_is_both() -> None:
    with listening(Listen("localhost", 0)) as found:
        ports = {port for _, port in found}
        assert [host for host, _ in found] == ["127.0.0.1", "::1"]
        assert len(ports) == 1
        assert 0 not in ports


def test_the_port_is_taken_on_the_other_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one is tried, and nothing of the first stays open."""
    with (
        refusing(monkeypatch, errno.EADDRINUSE, times=3) as refused,
        listening(Listen("localhost", 0)) as found,
    ):
        assert len(refused) == 3
        assert len(found) == 2
        assert 0 not in [port for _, port, *_ in refused]


def test_a_fixed_port_is_not_exchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    with (
        refusing(monkeypatch, errno.EADDRINUSE, times=1),
        pytest.raises(ConfigError) as told,
    ):
        open_listeners(Listen("localhost", port))
    assert str(told.value) == (
        f"cannot listen on localhost:{port} ([::1]:{port}): the port is in use; choose another "
        "with --listen"
    )
    socket.create_server(("127.0.0.1", port)).close()  # the first is closed again


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_without_ipv6_one_is_enough(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    with (
        refusing(monkeypatch, number, times=1),
        listening(Listen("localhost", 0)) as found,
    ):
        assert [host for host, _ in found] == ["127.0.0.1"]


def test_an_address_that_is_not_here() -> None:
    with pytest.raises(ConfigError, match="does not have that address"):
        open_listeners(Listen("192.0.2.1", 0))


def test_a_name_with_several_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def both(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in ("127.0.0.2", "192.0.2.1", "127.0.0.3", "127.0.0.2")
        ]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    with listening(Listen("here.test", 0)) as found:
        assert [host for host, _ in found] == ["127.0.0.2", "127.0.0.3"]
        assert len({port for _, port in found}) == 1


@needs_ipv6
def test_all_addresses_of_both_families() -> None:
    """kssl.toml takes them for two addresses, and 127.0.0.1 beside [::] for another."""
    for left in reversed(range(20)):  # the port may be another process's there
        with listening(Listen("::", 0)) as ((_, port),):
            try:
                for host in ("0.0.0.0", "127.0.0.1"):  # noqa: S104
                    with listening(Listen(host, port)):
                        pass
            except ConfigError:
                if not left:
                    raise
            else:
                return
