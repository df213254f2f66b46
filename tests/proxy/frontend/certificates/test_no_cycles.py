"""Clients that are judged leave nothing behind for the cyclic collector, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from kssl.config.parameters import Parameters
from tests.processes import halt
from tests.proxy.frontend.certificates.served import AskingRig, get, site
from tests.proxy.frontend.certificates.wallet import Wallet
from tests.proxy.frontend.clients import Client, ClosedError, CutError
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.test_no_cycles import _gone, unreachable
from tests.proxy.frontend.upstreams import Upstream

__all__ = ["unreachable"]

_TIMES = 3
_HOST = "site.localhost"


def _visit(rig: AskingRig, wallet: Wallet, presents: str) -> None:
    with (
        contextlib.suppress(ClosedError, CutError),
        rig.visitor(_HOST, "1.3", wallet.cards.get(presents)) as client,
    ):
        client.send(get(_HOST))
        client.read_answer()


@contextlib.contextmanager
def _stopped(rig: AskingRig) -> Iterator[int]:
    """The verifier answers nobody. Gives its PID."""
    assert rig.front.verifier is not None
    pid = rig.front.verifier.pid
    assert pid is not None
    halt(pid)
    try:
        yield pid
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def _impatient(rig: AskingRig) -> Iterator[None]:
    """HeaderWaitTimeout=1."""
    usual = rig.front.parameters

    def use(parameters: Parameters) -> None:
        rig.front.parameters = parameters
        rig.front.set_deadlines()

    rig.call(lambda: use(replace(usual, header_wait_timeout=1)))
    try:
        yield
    finally:
        rig.call(lambda: use(usual))


def _questions(rig: AskingRig) -> int:
    """That the verifier has not answered."""
    assert rig.front.verifier is not None
    link = rig.front.verifier.link
    return len(link._receivers) - 1 if link is not None else 0


def _waiting(rig: AskingRig, wallet: Wallet, stack: contextlib.ExitStack) -> list[Client]:
    """Clients who wait for their verdicts."""
    clients = []
    for _ in range(_TIMES):
        visitor = rig.visitor(_HOST, "1.3", wallet.cards["good"])
        clients.append(stack.enter_context(visitor))
    wait_for(lambda: _questions(rig) == _TIMES, "they wait")
    return clients


def _forgotten(rig: AskingRig) -> None:
    """By the processes behind the front end, too."""
    _gone(rig)
    for supervisor in (*rig.front.supervisors, rig.front.verifier):
        assert supervisor is not None
        wait_for(lambda each=supervisor: each.link is not None, "it is up")  # type: ignore[misc]
        link = supervisor.link
        assert link is not None
        wait_for(lambda each=link: len(each._receivers) == 1, "nothing is waited for")  # type: ignore[misc]
    rig.call(lambda: rig.apply(*rig.service.configuration.sites))  # others: these are over, too


@pytest.mark.parametrize("presents", ["good", "none", "other CA"])
@pytest.mark.parametrize("failure", ["page", "alert", "pass"])
def test_of_those_who_have_their_verdict(
    asking: AskingRig, wallet: Wallet, telling: Upstream,
    unreachable: Callable[[], list[str]], failure: str, presents: str,
) -> None:  # fmt: skip
    asking.serve(site(_HOST, telling.port, wallet, "require", failure))
    for _ in range(_TIMES):
        _visit(asking, wallet, presents)
    _forgotten(asking)
    assert unreachable() == []


@pytest.mark.parametrize("end", ["reset", "fin", "nothing"])
def test_of_those_who_wait_for_it_too_long(
    asking: AskingRig, wallet: Wallet, telling: Upstream,
    unreachable: Callable[[], list[str]], end: str,
) -> None:  # fmt: skip
    asking.serve(site(_HOST, telling.port, wallet, "require", "page"))
    with _impatient(asking), _stopped(asking), contextlib.ExitStack() as stack:
        for client in _waiting(asking, wallet, stack):
            client.send(get(_HOST))
            if end != "nothing":
                getattr(client, end)()
        _gone(asking)
    _forgotten(asking)
    assert len(asking.errors.of("Timer_HeaderWait")) == _TIMES
    assert unreachable() == []


def test_of_those_whose_verifier_dies_twice(
    asking: AskingRig, wallet: Wallet, telling: Upstream, unreachable: Callable[[], list[str]]
) -> None:
    asking.serve(site(_HOST, telling.port, wallet, "require", "page"))
    verifier = asking.front.verifier
    assert verifier is not None

    def die() -> None:
        assert verifier.link is not None
        verifier.link.give_up()

    with contextlib.ExitStack() as stack:
        with _stopped(asking) as first:
            clients = _waiting(asking, wallet, stack)
            asking.call(die)
            wait_for(lambda: verifier.link is not None and verifier.pid != first, "another")
            with _stopped(asking):
                asking.call(die)
        for client in clients:
            with pytest.raises(CutError, match="INTERNAL_ERROR"):
                client.read_answer()
    _forgotten(asking)
    assert telling.accepted == 0
    assert unreachable() == []
