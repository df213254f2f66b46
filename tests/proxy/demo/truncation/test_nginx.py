"""nginx beside kssl: it starts, it serves both ways, it is gone afterwards."""

from __future__ import annotations

import socket

import pytest

from kssl.proxy.demo.truncation import nginx
from kssl.proxy.demo.truncation import run as demonstration
from kssl.proxy.demo.truncation.clients import CLIENTS
from kssl.proxy.demo.truncation.closing import sentences
from kssl.proxy.demo.truncation.play import StagingError
from kssl.proxy.demo.truncation.rows import OWN
from kssl.proxy.demo.truncation.run import Result
from tests.needs import need
from tests.strict_tls import python_notices

CLIENT = next(client for client in CLIENTS if client.name == "python strict")


def test_it_launders_what_its_upstream_did_not_end() -> None:
    """A client that checks is safe from its own side, and is fooled from the other. A Python that
    takes FIN for close_notify cannot check, and is fooled from both."""
    nginx.find() or need("nginx", "nginx-light")
    result = Result([CLIENT])
    with demonstration._stage([CLIENT]) as stage:
        program = nginx.find()
        assert program is not None
        result.rows = list(demonstration._nginx(stage, program, demonstration.SCENES))
    assert {row.setting for row in result.rows} == {OWN}
    reply, request, upstream = result.rows
    assert (reply.honest, reply.attacked) == ("whole", "noticed" if python_notices() else "FOOLED")
    assert request.attacked.startswith("not executed")
    assert (upstream.honest, upstream.attacked) == ("whole", "FOOLED")
    assert sentences("upstream", [upstream])[0].startswith("nginx")


def test_one_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "_START_SECONDS", 0.5)
    with demonstration._stage([]) as stage:
        ports = (stage.app.port, stage.relay.port)
        with (
            pytest.raises(StagingError, match="does not accept"),
            nginx.running("false", *ports, stage.files),
        ):
            pass


def test_without_nginx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nginx, "find", lambda: None)
    result = demonstration.run([], clients=[CLIENT])
    assert result.left_out == ["nginx"]


def test_two_ports_that_are_free() -> None:
    first, second = nginx._free_ports()
    assert first != second
    for port in (first, second):
        socket.create_server(("127.0.0.1", port)).close()
