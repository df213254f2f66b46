"""Kept connections to an app, cut at some offsets; all offsets: acceptance."""

from __future__ import annotations

import pytest

from kssl.proxy.demo.truncation.attacker import Attacker
from tests.proxy.frontend.cuts.https import Authority
from tests.proxy.frontend.cuts.reused import Keeper, Scene
from tests.proxy.frontend.cuts.stage import few, no_failures, stage_of
from tests.proxy.frontend.rig import Rig
from tests.proxy.frontend.upstreams import Upstream


@pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)
def test_only_what_is_idempotent_is_sent_again_and_once(proxy: Rig, authority: Authority) -> None:
    keeper = Keeper()
    with (
        Upstream(keeper, authority.server("TLSv1_3")) as upstream,
        Attacker(upstream.port) as attacker,
    ):
        authority.serve(proxy, attacker.port)
        scene = Scene(stage_of(proxy), attacker, keeper)
        sizes = scene.sizes()
        plays: list[tuple[bytes, str, int, int | None]] = [
            (b"GET" if turn % 2 else b"POST", "FIN", offset, None)
            for turn, offset in enumerate(few(sizes, 16))
        ]
        plays += [(b"GET", "FIN", 0, None), (b"GET", "FIN", 3, 1), (b"POST", "RST", 3, None)]
        no_failures(scene.attack(sizes, plays))
