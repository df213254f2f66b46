"""Two hundred clients for whose certificates the verifier waits; nobody else does."""

from __future__ import annotations

import contextlib
import ssl
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from kssl.bench.proc import peak_rss
from tests.acceptance.conftest import Figure
from tests.acceptance.guarded import ROOT, Guarded, connect, context_of, guarded, issue, visit
from tests.acceptance.hostile import Hostile, hostile, never
from tests.acceptance.services import wait_for
from tests.acceptance.steady import Steady, Waits
from tests.acceptance.support import MIB, MODES, mib
from tests.fastpath.verifier.fetch.server import ok
from tests.fastpath.verifier.retrieving import aia

pytestmark = pytest.mark.acceptance

HANGING = 200
ROUNDS = 5  # of each kind, in turn
SECONDS = 3.0  # of one
FACTOR = 2.0  # that the 99th percentile may grow by, on a machine that does other things too
SLACK = 0.005  # seconds
# Clients of a round, none of whom the verifier has met before. If there is time for more, the first
# come again, and their verdicts are remembered; the 99th percentile is that of the others.
GOOD = 600
MEMORY = 150 * MIB

_ASKING = 'sslFlags = ["SslRequireCert"]\nclient_ca = "clients.pem"\nurlretrievaltimeout = 10000'
SITES = {"localhost": _ASKING, "plain.localhost": ""}


@pytest.mark.parametrize("mode", MODES)
def test_nobody_else_waits(app_port: int, tmp_path: Path, figure: Figure, mode: str) -> None:
    with hostile() as server:
        server.plays["never"] = never
        options = (
            f'DisableSslCertChainCacheOnlyUrlRetrieval = 1\nUrlRetrievalAllowed = "{server.place}"'
        )
        with guarded(
            tmp_path / "service", SITES, app_port, mode=mode, parameters=options
        ) as service:
            steady(service, tmp_path).run(1.0)
            gone: list[float] = []
            rounds: dict[bool, list[Waits]] = {False: [], True: []}
            for turn in range(2 * ROUNDS):
                load = steady(service, tmp_path)
                if turn % 2 == 0:
                    rounds[False].append(load.run(SECONDS))
                else:
                    with hanging(service, server, tmp_path, turn):
                        rounds[True].append(load.run(SECONDS))
                        # A fetch has five seconds of its own, so some may be over.
                        assert service.questions > HANGING / 2, "they do not hang"
                    began = time.monotonic()
                    service.running.wait_until_empty()
                    gone.append(time.monotonic() - began)
            figure(f"all have gone {max(gone):.1f} s after their clients at most")
            service.check()
            peak = peak_rss(service.verifier)
            figure(f"verifier {mib(peak)}")
            assert peak < MEMORY
            check(rounds[False], rounds[True], figure)


def steady(service: Guarded, folder: Path) -> Steady:
    """With clients of its own."""
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
    clients = [context_of(folder, issue(ROOT, f"CN=good {n}")) for n in range(GOOD)]
    return Steady(service.port, "plain.localhost", "localhost", nobody, clients)


def check(without: list[Waits], beside: list[Waits], figure: Figure) -> None:
    slow = []
    for what in without[0].of:
        before, now = (
            statistics.median(each.p99(what) for each in rounds) for rounds in (without, beside)
        )
        count = sum(len(each.of[what]) for each in beside)
        figure(
            f"{what}: p99 {before * 1000:.1f} ms alone, {now * 1000:.1f} ms beside {HANGING} "
            f"that hang, {now / before:.2f} times ({count} waits)"
        )
        if now > FACTOR * before + SLACK:
            slow.append(what)
    assert not slow


@contextlib.contextmanager
def hanging(service: Guarded, server: Hostile, folder: Path, turn: int) -> Iterator[None]:
    """All wait for their verdict when the block begins, each for a URL of its own, and are gone
    at its end."""
    middle = issue(ROOT, "CN=Nowhere", ca=True)
    contexts = [
        context_of(folder, issue(middle, f"CN={n}", aia(f"{server.url}/never/{turn}/{n}")))
        for n in range(HANGING)
    ]
    with contextlib.ExitStack() as stack:
        with ThreadPoolExecutor(16) as pool:
            for tls in pool.map(lambda each: connect(service.port, each, "localhost"), contexts):
                stack.enter_context(tls)
        wait_for(lambda: service.questions >= HANGING, "all of them")
        yield


@pytest.mark.parametrize("mode", MODES)
def test_who_needs_a_fetch_meanwhile(
    app_port: int, tmp_path: Path, figure: Figure, mode: str
) -> None:
    """Fetches are few at a time, so that client may have to come again; it gets an answer soon,
    and it is served when those that hang have gone."""
    with hostile() as server:
        server.plays["never"] = never
        middle = issue(ROOT, "CN=Middle", ca=True)
        server.plays["middle"] = ok(middle.der)
        alice = context_of(tmp_path, issue(middle, "CN=alice", aia(f"{server.url}/middle")))
        options = (
            f'DisableSslCertChainCacheOnlyUrlRetrieval = 1\nUrlRetrievalAllowed = "{server.place}"'
        )
        sites = {"localhost": _ASKING.replace("10000", "4000")}
        with guarded(
            tmp_path / "service", sites, app_port, mode=mode, parameters=options
        ) as service:
            with hanging(service, server, tmp_path, 0):
                found = visit(service.port, alice)
                figure(f"{found.word} after {found.seconds:.2f} s beside {HANGING} that hang")
                assert found.word in ("200", "403.16")
                assert found.seconds < 6
            service.running.wait_until_empty()
            wait_for(lambda: visit(service.port, alice).status == 200, "its turn")
