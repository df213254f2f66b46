"""Replies of apps with TLS, cut at some 40 offsets, dealt out to the modes and versions; all
offsets: acceptance."""

from __future__ import annotations

import pytest

from kssl.proxy.demo.truncation.attacker import Attacker
from tests.proxy.frontend.cuts.https import Authority
from tests.proxy.frontend.cuts.stage import HOWS, VERSIONS, few, no_failures, share, stage_of
from tests.proxy.frontend.cuts.upstreams import (
    ABORTED,
    BAD_GATEWAY,
    COMPLETE,
    PART,
    REPLIES,
    Reply,
    Shop,
    attack,
    sizes_of_reply,
)
from tests.proxy.frontend.rig import Rig
from tests.proxy.frontend.upstreams import Upstream


@pytest.mark.parametrize("reply", REPLIES, ids=str)
@pytest.mark.parametrize("guard", [True, False])
def test_what_is_due(reply: Reply, guard: bool) -> None:
    """Of the test's own reckoning: the end is complete, and only one kind has the hole."""
    count = len(reply.pieces) + 1
    fin = [reply.due(number, "FIN", guard=guard) for number in range(count + 1)]
    assert fin[:2] == [BAD_GATEWAY, BAD_GATEWAY]
    assert fin[-1] == COMPLETE
    assert (PART in fin) == (reply.framing == b"close" and not guard)
    assert (ABORTED in fin) == (PART not in fin)
    assert ABORTED in [reply.due(number, "RST", guard=guard) for number in range(count + 1)]


@pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("guard", [True, False], ids=["guard", "pass"])
def test_nothing_truncated_is_passed_on_as_complete(
    proxy: Rig, version: str, guard: bool, authority: Authority
) -> None:
    shop, failures = Shop(), []
    with (
        Upstream(shop, authority.server(version)) as upstream,
        Attacker(upstream.port) as attacker,
    ):
        authority.serve(proxy, attacker.port, guard=guard)
        stage = stage_of(proxy)
        for reply in REPLIES:
            sizes = sizes_of_reply(stage, attacker, shop, reply)
            offsets = share(few(sizes), proxy.mode, version)
            plays = [(HOWS[turn % 3 == 2], offset) for turn, offset in enumerate(offsets)]
            failures += attack(stage, attacker, shop, reply, plays, sizes=sizes, guard=guard)
    no_failures(failures)
