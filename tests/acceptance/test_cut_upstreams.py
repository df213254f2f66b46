"""Replies of an app with TLS, cut behind every byte between the app and the proxy. With the guard
on nothing truncated is passed on as complete; with upstream_truncation = "pass", replies that only
the end of the connection ends are, which is what that setting is about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from kssl.proxy.demo.truncation.attacker import Attacker
from tests.acceptance.conftest import Figure
from tests.acceptance.support import MODES
from tests.proxy.frontend.cuts.https import Authority
from tests.proxy.frontend.cuts.reused import Keeper
from tests.proxy.frontend.cuts.reused import Scene as Kept
from tests.proxy.frontend.cuts.stage import HOWS, VERSIONS, Stage, no_failures, running, spread
from tests.proxy.frontend.cuts.upstreams import REPLIES, Reply, Shop, attack, sizes_of_reply
from tests.proxy.frontend.upstreams import Upstream

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("mode", MODES)]

guards = pytest.mark.parametrize("guard", [True, False], ids=["guard", "pass"])


@dataclass(frozen=True)
class Scene:
    """`attacker` stands between the proxy of the stage and the shop."""

    stage: Stage
    attacker: Attacker
    shop: Shop


Get = Callable[..., Scene]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Get]:
    """``scenes(mode, version, guard, tickets=0)``: ``version`` is the app's."""
    found: dict[tuple[str, str, bool, int], Scene] = {}
    folder = tmp_path_factory.mktemp("cut")
    authority = Authority(folder)
    with ExitStack() as stack:

        def get(mode: str, version: str, guard: bool, tickets: int = 0) -> Scene:
            key = (mode, version, guard, tickets)
            if key not in found:
                shop = Shop()
                tls = authority.server(version, tickets=tickets)
                upstream = stack.enter_context(Upstream(shop, tls))
                attacker = stack.enter_context(Attacker(upstream.port))
                process = running(
                    folder / str(len(found)),
                    mode,
                    f"https://localhost:{attacker.port}",
                    *authority.lines(guard=guard),
                )
                found[key] = Scene(stack.enter_context(process), attacker, shop)
            return found[key]

        yield get


@pytest.mark.parametrize("version", VERSIONS)
@guards
@pytest.mark.parametrize("reply", REPLIES, ids=str)
def test_every_offset(
    scenes: Get, mode: str, version: str, guard: bool, reply: Reply, figure: Figure
) -> None:
    scene = scenes(mode, version, guard)
    sizes = sizes_of_reply(scene.stage, scene.attacker, scene.shop, reply)
    assert len(sizes) == len(reply.pieces) + 1
    offsets = range(sum(sizes) + 2)
    plays = [("FIN", offset) for offset in offsets] + [("RST", offset) for offset in offsets[::3]]
    failures = attack(
        scene.stage, scene.attacker, scene.shop, reply, plays, sizes=sizes, guard=guard
    )
    no_failures(failures)
    figure(f"{len(plays)} cuts of records of {sizes} bytes")


@guards
def test_behind_tickets(scenes: Get, mode: str, guard: bool) -> None:
    """Two tickets of TLS 1.3 in front of the answer, as OpenSSL's servers send them."""
    scene = scenes(mode, "TLSv1_3", guard, 2)
    for reply in REPLIES:
        sizes = sizes_of_reply(scene.stage, scene.attacker, scene.shop, reply)
        assert len(sizes) == len(reply.pieces) + 3
        plays = [(HOWS[turn % 2], offset) for turn, offset in enumerate(spread(sum(sizes), 60))]
        failures = attack(
            scene.stage, scene.attacker, scene.shop, reply, plays, sizes=sizes, guard=guard
        )
        no_failures(failures)


@pytest.mark.parametrize("version", VERSIONS)
def test_kept_connections(mode: str, version: str, tmp_path: Path, figure: Figure) -> None:
    """A FIN on an idle one is harmless. One that comes before the answer has begun lets what is
    idempotent be sent again, once; a POST never is."""
    keeper, authority = Keeper(), Authority(tmp_path)
    with (
        Upstream(keeper, authority.server(version)) as upstream,
        Attacker(upstream.port) as attacker,
        running(
            tmp_path / "state", mode, f"https://localhost:{attacker.port}", *authority.lines()
        ) as stage,
    ):
        scene = Kept(stage, attacker, keeper)
        sizes = scene.sizes()
        plays: list[tuple[bytes, str, int, int | None]] = []
        for offset in range(sum(sizes) + 1):
            plays += [(b"GET", "FIN", offset, None), (b"POST", "FIN", offset, None)]
            if offset % 3 == 1:
                plays += [(b"GET", "FIN", offset, 1), (b"POST", "RST", offset, None)]
        no_failures(scene.attack(sizes, plays))
    figure(f"{len(plays)} cuts of records of {sizes} bytes")
