"""Tunnels cut behind every byte, on either side of the proxy and in both directions. With
EnableSslCloseNotify=1 and the guard on nobody gets a clean end that the other one has not said."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.records import Direction
from tests.acceptance.conftest import Figure
from tests.acceptance.support import MODES
from tests.proxy.frontend.cuts.https import Authority
from tests.proxy.frontend.cuts.stage import HOWS, VERSIONS, no_failures, running
from tests.proxy.frontend.cuts.tunnels import PLACES, Bank, Place, Scene
from tests.proxy.frontend.upstreams import Upstream

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.parametrize("mode", MODES),
    pytest.mark.parametrize("version", VERSIONS),
]

Get = Callable[[str, str], Scene]
PLAIN = ""  # in place of the version of an app's TLS


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Get]:
    """``scenes(mode, version)``: a proxy before an app with that version of TLS, or `PLAIN`."""
    found: dict[tuple[str, str], Scene] = {}
    folder = tmp_path_factory.mktemp("cut")
    authority = Authority(folder)
    with ExitStack() as stack:

        def get(mode: str, version: str) -> Scene:
            if (mode, version) not in found:
                bank = Bank()
                tls = authority.server(version) if version else None
                upstream = stack.enter_context(Upstream(bank, tls))
                back = stack.enter_context(Attacker(upstream.port))
                process = running(
                    folder / f"{mode}-{version or 'plain'}",
                    mode,
                    f"{'https' if version else 'http'}://localhost:{back.port}",
                    *(authority.lines() if version else ()),
                )
                stage = stack.enter_context(process)
                front = stack.enter_context(Attacker(stage.port))
                found[mode, version] = Scene(stage, front, back, bank)
            return found[mode, version]

        yield get


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_before_an_app_with_tls(
    scenes: Get, mode: str, version: str, place: Place, figure: Figure
) -> None:
    scene = scenes(mode, version)
    sizes = scene.sizes(version, place)
    plays = [(how, offset) for offset in range(sum(sizes) + 1) for how in HOWS]
    no_failures(scene.attack(version, place, plays, sizes=sizes, secure=True))
    figure(f"{len(plays)} cuts of records of {sizes} bytes")


@pytest.mark.parametrize("direction", Direction, ids=lambda direction: direction.value)
def test_before_an_app_without_tls(
    scenes: Get, mode: str, version: str, direction: Direction, figure: Figure
) -> None:
    """Between client and proxy; whoever is between the proxy and such an app reads along."""
    scene, place = scenes(mode, PLAIN), Place(False, direction)
    sizes = scene.sizes(version, place)
    plays = [(how, offset) for offset in range(sum(sizes) + 1) for how in HOWS]
    no_failures(scene.attack(version, place, plays, sizes=sizes, secure=False))
    figure(f"{len(plays)} cuts of records of {sizes} bytes")
