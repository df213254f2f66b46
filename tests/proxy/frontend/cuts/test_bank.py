"""The app of the tunnels that are cut."""

from __future__ import annotations

import socket

from tests.proxy.frontend.cuts.ends import FIN
from tests.proxy.frontend.cuts.tunnels import Bank
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream


def test_a_connection_that_comes_late_belongs_to_its_own_talk() -> None:
    bank = Bank()
    early, now = bank.begin(), bank.begin()
    with Upstream(bank) as upstream, socket.create_connection(("127.0.0.1", upstream.port)) as sock:
        sock.sendall(early.ask)
        sock.shutdown(socket.SHUT_WR)
        wait_for(lambda: early.app_ended, "its end")
    assert (early.asked, early.app_ended) == (True, FIN)
    assert (now.asked, now.app_ended) == (False, "")
