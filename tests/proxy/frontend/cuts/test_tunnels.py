"""Tunnels cut at some 40 offsets, dealt out to the modes and versions; all offsets: acceptance."""

from __future__ import annotations

import pytest

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.records import Direction
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.cuts.https import Authority
from tests.proxy.frontend.cuts.stage import HOWS, VERSIONS, few, no_failures, share, stage_of
from tests.proxy.frontend.cuts.tunnels import PLACES, Bank, Place, Scene
from tests.proxy.frontend.rig import Rig
from tests.proxy.frontend.upstreams import Upstream

pytestmark = [
    pytest.mark.parametrize(
        "proxy",
        [("kernel", "httptools"), ("user", "httptools")],
        ids=["kernel", "user"],
        indirect=True,
    ),
    pytest.mark.parametrize("version", VERSIONS),
]


def plays_of(sizes: list[int], mode: str, version: str) -> list[tuple[str, int]]:
    offsets = share(few(sizes), mode, version)
    plays = [(HOWS[turn % 3 == 2], offset) for turn, offset in enumerate(offsets)]
    return [*plays, ("FIN", sum(sizes))]


def test_before_an_app_with_tls(proxy: Rig, version: str, authority: Authority) -> None:
    bank, failures = Bank(), []
    with (
        Upstream(bank, authority.server(version)) as upstream,
        Attacker(upstream.port) as back,
        Attacker(proxy.port) as front,
    ):
        authority.serve(proxy, back.port)
        scene = Scene(stage_of(proxy), front, back, bank)
        for place in PLACES:
            sizes = scene.sizes(version, place)
            plays = plays_of(sizes, proxy.mode, version)
            failures += scene.attack(version, place, plays, sizes=sizes, secure=True)
    no_failures(failures)


def test_before_an_app_without_tls(proxy: Rig, serve: Serve, version: str) -> None:
    """Between client and proxy; whoever is between the proxy and such an app reads along."""
    bank, failures = Bank(), []
    upstream = serve(bank)
    with Attacker(upstream.port) as back, Attacker(proxy.port) as front:
        proxy.configure(port=back.port)
        scene = Scene(stage_of(proxy), front, back, bank)
        for place in (Place(False, direction) for direction in Direction):
            sizes = scene.sizes(version, place)
            plays = plays_of(sizes, proxy.mode, version)
            failures += scene.attack(version, place, plays, sizes=sizes, secure=False)
    no_failures(failures)
