"""A service that listens on localhost, and one whose app does."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from kssl.config.model import Binding, Configuration
from kssl.config.target import Listen, parse_target
from tests.proxy.frontend.clients import Client
from tests.proxy.frontend.rig import Rig, one_site
from tests.proxy.frontend.test_sockets import needs_ipv6
from tests.proxy.frontend.upstreams import Upstream, answer_all, response

BOTH = Binding(Listen("localhost", 0))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig("kernel", tmp_path)
    try:
        yield rig
    finally:
        rig.stop()


@needs_ipv6
def test_both_addresses_are_served_and_handed_over(rig: Rig) -> None:
    with Upstream(answer_all(response(b"app"))) as app:
        site = replace(one_site(parse_target(str(app.port))), bindings=(BOTH,))
        configuration = Configuration(parameters=rig.front.parameters, sites=(site,))
        rig.wait(rig.service.reload(configuration))
        (endpoint,) = rig.front.endpoints
        assert rig.service.urls == [f"https://localhost:{endpoint.port}"]
        sockets = rig.service.listening_sockets()
        assert {name: len(found) for name, found in sockets.items()} == {str(BOTH): 2}
        for host in ("127.0.0.1", "::1"):
            with Client(endpoint.port, rig.context, host=host) as client:
                assert client.ask().body == b"app"

        # A reload that drops the binding closes both.
        rig.wait(rig.service.reload(replace(configuration, sites=(one_site(parse_target("9")),))))
        for host in ("127.0.0.1", "::1"):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection((host, endpoint.port)).close()


@needs_ipv6
def test_a_successor_takes_both(rig: Rig, tmp_path: Path) -> None:
    """`kssl restart` hands the sockets over by the name of their binding."""
    site = replace(one_site(parse_target("9")), bindings=(BOTH,))
    configuration = Configuration(parameters=rig.front.parameters, sites=(site,))
    rig.wait(rig.service.reload(configuration))
    handed = {
        name: [sock.dup() for sock in sockets]
        for name, sockets in rig.service.listening_sockets().items()
    }
    folder = tmp_path / "successor"
    folder.mkdir()
    successor = Rig("kernel", folder, inherited=lambda name: handed.pop(name, ()), site=site)
    try:
        assert successor.front.endpoints[0].port == rig.front.endpoints[0].port
        assert len(successor.service.listening_sockets()[str(BOTH)]) == 2
        assert handed == {}
    finally:
        successor.stop()


@contextmanager
def app_on(host: str, other: str) -> Iterator[Upstream]:
    """An app on ``host``, and nobody on ``other``: a process beside the tests may have the same
    port there."""
    while True:
        with ExitStack() as stack:
            app = stack.enter_context(Upstream(answer_all(response(host.encode())), host=host))
            family = socket.AF_INET6 if ":" in other else socket.AF_INET
            held = stack.enter_context(socket.socket(family))
            try:
                held.bind((other, app.port))
            except OSError:
                continue
            yield app
            return


@needs_ipv6
def test_a_port_alone_is_found_on_either_loopback_address(rig: Rig) -> None:
    """Vite and others listen on ::1 alone."""
    for host, other in (("::1", "127.0.0.1"), ("127.0.0.1", "::1")):
        with app_on(host, other) as app:
            rig.serve_sites(one_site(parse_target(str(app.port))))
            with rig.client() as client:
                assert client.ask().body == host.encode()
