"""Requests cut at some 40 offsets, dealt out to the modes and versions; all offsets: acceptance."""

from __future__ import annotations

from itertools import count

import pytest

from kssl.proxy.demo.truncation.attacker import Attacker
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.cuts.ends import RESET
from tests.proxy.frontend.cuts.requests import (
    ORDERS,
    Order,
    attack,
    judge,
    sizes_of_order,
)
from tests.proxy.frontend.cuts.stage import HOWS, VERSIONS, few, no_failures, share, stage_of
from tests.proxy.frontend.cuts.till import Till, complete_request
from tests.proxy.frontend.rig import Rig


def test_what_is_complete() -> None:
    """Of the test's own reading."""
    (order,) = (order for order in ORDERS if order.name == "pipelined")
    data = b"".join(order.numbered(7))
    assert complete_request(data[:-1]) is not None
    target, rest = complete_request(data) or (b"", b"")
    assert [target, (complete_request(rest) or (b"", b""))[0]] == order.targets(7)
    assert all(complete_request(rest[:end]) is None for end in range(1, len(rest)))


@pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("order", ORDERS, ids=lambda order: order.name)
def test_the_app_gets_no_part_for_a_whole(
    proxy: Rig, serve: Serve, version: str, order: Order
) -> None:
    till = Till()
    serve(till)
    stage, numbers = stage_of(proxy), count()
    with Attacker(stage.port) as attacker:
        sizes = sizes_of_order(attacker, stage.context(version), order, next(numbers), till)
        offsets = share(few(sizes), proxy.mode, version)
        plays = [(HOWS[turn % 3 == 2], offset) for turn, offset in enumerate(offsets)]
        plays.append(("FIN", sum(sizes)))
        done = attack(stage, attacker, version, order, till, plays, sizes=sizes, numbers=numbers)
    no_failures(judge(till, order, done, [RESET]))
    assert any(seen.rest for seen in till.connections)  # some parts did arrive
    assert any(play.resumed for play in done)
