"""The third scene: a cut between proxy and app, as each client comes to see it."""

from __future__ import annotations

import pytest

from kssl.proxy.demo.truncation import play
from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.clients import CLIENTS, Client
from kssl.proxy.demo.truncation.play import Front
from kssl.proxy.demo.truncation.rows import GUARD, PASS, judged
from tests.needs import need
from tests.proxy.demo.truncation.conftest import TlsApp
from tests.proxy.demo.truncation.standin import proxy


@pytest.mark.parametrize("setting", [PASS, GUARD])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_who_is_fooled(tls_app: TlsApp, client: Client, setting: str) -> None:
    if client.program:
        need(client.program)
    with (
        Attacker(tls_app.app.port) as relay,
        proxy(relay.port, tls_app.context, guard=setting == GUARD) as port,
    ):
        front = Front("kssl", "kernel", setting, port, tls_app.ca)
        (row,) = play.upstream(front, [client], relay)
    assert row.honest == "whole"
    if setting == PASS:
        assert row.attacked == "FOOLED"
    elif not client.deaf_to_resets:
        assert row.attacked == "noticed"
    assert judged(row, client, {"python strict", "openssl s_client"}).as_expected
