"""Requests cut behind every byte between a client and the proxy. The app never gets one that looks
complete unless all of it had arrived, and a FIN in place of close_notify costs the session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from kssl.proxy.demo.truncation.attacker import Attacker
from tests.acceptance.conftest import Figure
from tests.acceptance.support import MODES
from tests.proxy.frontend.cuts.ends import ALERT, RESET
from tests.proxy.frontend.cuts.https import Authority
from tests.proxy.frontend.cuts.requests import (
    ORDERS,
    Order,
    attack,
    judge,
    sizes_of_order,
)
from tests.proxy.frontend.cuts.stage import HOWS, VERSIONS, Stage, no_failures, running
from tests.proxy.frontend.cuts.till import Till
from tests.proxy.frontend.upstreams import Upstream

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("mode", MODES)]

Get = Callable[[str, str], tuple[Stage, Till]]
NUMBERS = count()


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Get]:
    """For each mode and scheme of the app a proxy and an app of its own."""
    found: dict[tuple[str, str], tuple[Stage, Till]] = {}
    folder = tmp_path_factory.mktemp("cut")
    authority = Authority(folder)
    with ExitStack() as stack:

        def get(mode: str, scheme: str) -> tuple[Stage, Till]:
            if (mode, scheme) not in found:
                till, secure = Till(), scheme == "https"
                tls = authority.server("TLSv1_3") if secure else None
                upstream = stack.enter_context(Upstream(till, tls))
                process = running(
                    folder / f"{mode}-{scheme}",
                    mode,
                    f"{scheme}://localhost:{upstream.port}",
                    *(authority.lines() if secure else ()),
                )
                found[mode, scheme] = stack.enter_context(process), till
            return found[mode, scheme]

        yield get


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_every_offset(
    stages: Get, mode: str, version: str, order: Order, scheme: str, figure: Figure
) -> None:
    stage, till = stages(mode, scheme)
    before = len(till.connections)
    with Attacker(stage.port) as attacker:
        sizes = sizes_of_order(attacker, stage.context(version), order, next(NUMBERS), till)
        offsets = range(sum(sizes) + 2)
        plays = (
            [(how, offset) for offset in offsets for how in HOWS]
            if scheme == "http"
            else [(HOWS[offset % 2], offset) for offset in offsets]
        )
        done = attack(stage, attacker, version, order, till, plays, sizes=sizes, numbers=NUMBERS)
    no_failures(judge(till, order, done, [RESET] if scheme == "http" else [ALERT]))
    parts = sum(bool(seen.rest) for seen in till.connections[before:])
    assert parts > 0
    figure(f"{len(plays)} cuts of records of {sizes} bytes; the app saw {parts} parts, all aborted")
