"""Replies cut at some 40 offsets, dealt out to the modes and versions; all offsets, and other
clients: acceptance."""

from __future__ import annotations

import pytest

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.records import Direction
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.cuts.replies import (
    BODY,
    CLOSE,
    CUT,
    FRAMINGS,
    LENGTH,
    WHOLE,
    Framing,
    app,
    attack,
    by_python,
    by_records,
    honest,
    name_of,
    play,
    tells,
)
from tests.proxy.frontend.cuts.stage import (
    HOWS,
    PIECE,
    VERSIONS,
    few,
    no_failures,
    parts,
    share,
    sizes_of,
    stage_of,
)
from tests.proxy.frontend.rig import Rig

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("framing", FRAMINGS, ids=name_of)
def test_no_part_passes_for_the_whole(
    proxy: Rig, serve: Serve, version: str, framing: Framing
) -> None:
    serve(app(BODY), max_bytes_per_send=PIECE)
    stage = stage_of(proxy)
    context = stage.context(version)
    ways = [(read, how) for read in (by_records, by_python) for how in HOWS if tells(read, how)]
    failures = []
    with Attacker(stage.port) as attacker:
        expected = honest(attacker, context, framing, BODY)
        assert len(expected.sizes) >= 4
        offsets = [
            *share(few(expected.sizes), proxy.mode, version),
            expected.total,
            expected.total + 1,
        ]
        for (read, how), some in zip(ways, parts(offsets, len(ways)), strict=True):
            failures += attack(
                attacker, context, framing, expected, BODY, read=read, how=how, offsets=some
            )
    no_failures(failures)


@pytest.mark.parametrize("version", VERSIONS)
def test_without_close_notify_nothing_can_be_told(proxy: Rig, serve: Serve, version: str) -> None:
    """The same with EnableSslCloseNotify=0, which also shows that these tests can fail: a whole
    reply looks cut to who checks, and a cut one is whole to who does not."""
    serve(app(BODY), max_bytes_per_send=PIECE, enable_ssl_close_notify=0)
    stage = stage_of(proxy)
    context = stage.context(version)
    with Attacker(stage.port) as attacker:
        whole, ending, link = play(attacker, context, CLOSE, by_records, None)
        assert ending == CUT
        sizes = sizes_of(link, Direction.TO_CLIENT)
        part, ending, _ = play(attacker, context, CLOSE, by_records, sum(sizes[:-1]))
        assert ending == CUT
        assert whole.startswith(part)
        assert b"\r\n\r\n" in part
        assert len(part) < len(whole)
        seen = play(attacker, context, LENGTH, by_python, None)[1]
        assert seen == (CUT if tells(by_python, "FIN") else WHOLE)
