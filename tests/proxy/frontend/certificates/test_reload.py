"""A reload while clients wait for their verdicts."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from kssl.config.model import Configuration, Site
from tests.processes import halt
from tests.proxy.frontend.certificates.served import AskingRig, get, site
from tests.proxy.frontend.certificates.wallet import Wallet
from tests.proxy.frontend.clients import Client, CutError
from tests.proxy.frontend.hung import give_up_soon
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide, response

_HOST = "site.localhost"


def _questions(rig: AskingRig) -> int:
    link = rig.front.verifier.link if rig.front.verifier is not None else None
    return len(link._receivers) - 1 if link is not None else 0


@contextlib.contextmanager
def _waiting(rig: AskingRig, wallet: Wallet) -> Iterator[Client]:
    """A client whose verifier is slow."""
    assert rig.front.verifier is not None
    pid = rig.front.verifier.pid
    assert pid is not None
    halt(pid)
    try:
        with rig.visitor(_HOST, "1.3", wallet.cards["good"]) as client:
            client.send(get(_HOST))
            wait_for(lambda: _questions(rig) == 1, "the question")
            yield client
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_to_sites_that_ask_nobody(
    asking: AskingRig, wallet: Wallet, telling: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verifier ends, and whoever waits for it is told at once."""
    asking.serve(site(_HOST, telling.port, wallet, "require", "page"))
    verifier = asking.front.verifier
    assert verifier is not None
    give_up_soon(monkeypatch, verifier)
    with _waiting(asking, wallet) as client:
        asking.serve(site(_HOST, telling.port, wallet, "ignore", "page"))
        # Its verifier stands still, and a time limit would be told otherwise.
        with pytest.raises(CutError, match="INTERNAL_ERROR"):
            client.read_answer()
    assert asking.front.verifier is None
    assert not verifier._waiting
    assert telling.accepted == 0


@pytest.mark.parametrize("failure", ["page", "alert", "pass"])
def test_to_another_policy(
    asking: AskingRig, wallet: Wallet, telling: Upstream, failure: str
) -> None:
    """Nobody is refused because the verifier knows the new settings before the front end does."""
    before = site(_HOST, telling.port, wallet, "require", failure)
    after = site(_HOST, telling.port, wallet, "require", failure, max_depth=5)
    asking.serve(before)
    with _change_of_the_verifier(asking, wallet, after) as client:
        asking.call(lambda: asking.apply(after))
        client.send(get(_HOST))
        assert client.read_answer().status == 421
    assert telling.accepted == 0


def test_that_fails(asking: AskingRig, wallet: Wallet, telling: Upstream) -> None:
    """All is as it was, for those in between as well."""
    before = site(_HOST, telling.port, wallet, "require", "page")
    asking.serve(before)
    other = site(_HOST, telling.port, wallet, "require", "page", max_depth=5)
    with _change_of_the_verifier(asking, wallet, other) as client:
        _change_verifier(asking, before)
        asking.call(asking.front.end_reload)
        client.send(get(_HOST))
        assert client.read_answer().status == 200


def _change_verifier(rig: AskingRig, wanted: Site) -> None:
    configuration = Configuration(parameters=rig.front.parameters, sites=(wanted,))
    rig.wait(rig.service._helpers._judge_by(configuration))


def _admitted(rig: AskingRig) -> int:
    """Connections that may send requests."""
    return sum(each._http is not None for each in rig.front.connections)


@pytest.mark.parametrize("presents", ["good", "none"])
def test_nobody_stays_by_an_old_verdict(asking: AskingRig, wallet: Wallet, presents: str) -> None:
    """CAs and revocation lists may be others, in files of the same names."""
    there, going = threading.Event(), threading.Event()

    def app(side: UpstreamSide) -> None:
        while True:
            head = side.read_head()
            if b"/slow" in head:
                there.set()
                assert going.wait(60)
            side.send(response(b"hello"))

    with Upstream(app) as upstream:
        served = site(_HOST, upstream.port, wallet, "negotiate", "page")
        asking.serve(served)
        card = wallet.cards.get(presents)
        with contextlib.ExitStack() as stack:
            idle, busy, new = (
                stack.enter_context(asking.visitor(_HOST, "1.3", card)) for _ in range(3)
            )
            for client in (idle, busy):
                client.send(get(_HOST))
                assert client.read_answer().get(b"connection") is None
            wait_for(lambda: asking.call(lambda: _admitted(asking)) == 3, "each has its verdict")
            busy.send(get(_HOST, "/slow"))
            assert there.wait(60)
            asking.serve(served)
            going.set()
            new.send(get(_HOST))
            last = b"close" if presents == "good" else None
            for client in (busy, new):
                answer = client.read_answer()
                assert (answer.status, answer.get(b"connection")) == (200, last)
            if presents == "good":
                assert [each.read_to_end() for each in (idle, busy)] == [(b"", "close_notify")] * 2
            else:
                idle.send(get(_HOST))
                assert idle.read_answer().status == 200


@contextlib.contextmanager
def _change_of_the_verifier(rig: AskingRig, wallet: Wallet, wanted: Site) -> Iterator[Client]:
    """A client whose handshake ends while the verifier has other settings than the front end."""
    front = rig.front
    with rig.visitor(_HOST, "1.3", wallet.cards["good"], handshake=False) as client:
        client.sock.sendall(client.client_hello())
        client._fill()
        rig.call(front.begin_reload)
        _change_verifier(rig, wanted)
        client.handshake()
        wait_for(lambda: rig.call(lambda: len(front._held or ())), "the verdict")
        yield client
