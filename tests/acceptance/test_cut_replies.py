"""Replies cut behind every byte between the proxy and its client. With EnableSslCloseNotify=1 no
client that checks takes a part for the whole; only behind the last byte of close_notify it is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy.demo.truncation.attacker import Attacker
from proxy.demo.truncation.clients import CLIENTS
from proxy.demo.truncation.clients import Client as Victim
from proxy.demo.truncation.records import Direction
from tests.acceptance.conftest import Figure
from tests.acceptance.support import MODES
from tests.needs import need
from tests.proxy.frontend.cuts.replies import (
    BODY,
    CLOSE,
    CUT,
    FRAMINGS,
    LENGTH,
    WHOLE,
    Framing,
    answer,
    app,
    attack,
    by_framing,
    by_python,
    by_records,
    honest,
    name_of,
    play,
)
from tests.proxy.frontend.cuts.stage import (
    HOWS,
    VERSIONS,
    Stage,
    cut_at,
    edges,
    no_failures,
    running,
    sizes_of,
    spread,
)
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("mode", MODES)]

RECORD = 16384  # bytes of plaintext in a full one
DEFAULT_PIECE = 131072

Get = Callable[[str], Stage]


@pytest.fixture(scope="module")
def stages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Get]:
    """A proxy for each mode, started when it is asked for, before an app with `BODY`."""
    found: dict[str, Stage] = {}
    folder = tmp_path_factory.mktemp("cut")
    with ExitStack() as stack:
        upstream = stack.enter_context(Upstream(app(BODY)))

        def get(mode: str) -> Stage:
            if mode not in found:
                process = running(folder / mode, mode, f"127.0.0.1:{upstream.port}")
                found[mode] = stack.enter_context(process)
            return found[mode]

        yield get


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("framing", FRAMINGS, ids=name_of)
def test_every_offset(
    stages: Get, mode: str, version: str, framing: Framing, figure: Figure
) -> None:
    stage = stages(mode)
    context = stage.context(version)
    failures = []
    with Attacker(stage.port) as attacker:
        expected = honest(attacker, context, framing, BODY)
        assert len(expected.sizes) >= 4
        for read in (by_records, by_python):
            for how in HOWS:
                failures += attack(
                    attacker, context, framing, expected, BODY,
                    read=read, how=how, offsets=range(expected.total + 2),
                )  # fmt: skip
    no_failures(failures)
    figure(f"{expected.total} offsets in records of {expected.sizes} bytes, 2 clients, FIN and RST")


# -- full records --------------------------------------------------------------------------


class _InStep:
    """An app that sends three full records, each when the attacker has seen the one before, so
    that they do not depend on how fast the proxy reads."""

    def __init__(self) -> None:
        self.attacker: Attacker | None = None
        self.body = b"".join(b"%07d," % number for number in range(3 * RECORD // 8))[:-100]

    def __call__(self, side: UpstreamSide) -> None:
        head, _ = side.read_request()
        assert self.attacker is not None
        link = self.attacker.links[-1]
        said = answer(head.split(b" ")[1][1:], self.body)
        for start in range(0, len(said), RECORD):
            side.send(said[start : start + RECORD])
            wait_for(
                lambda sent=start: link.over
                or sum(sizes_of(link, Direction.TO_CLIENT)) > min(sent + RECORD, len(said)),
                "the attacker sees the record",
            )  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("framing", [LENGTH, CLOSE], ids=name_of)
def test_three_full_records(
    mode: str, version: str, framing: Framing, tmp_path: Path, figure: Figure
) -> None:
    script = _InStep()
    with (
        Upstream(script) as upstream,
        running(
            tmp_path / "state", mode, f"127.0.0.1:{upstream.port}", piece=DEFAULT_PIECE
        ) as stage,
        Attacker(stage.port) as attacker,
    ):
        script.attacker = attacker
        context = stage.context(version)
        expected = honest(attacker, context, framing, script.body)
        assert sum(size > RECORD for size in expected.sizes) >= 2
        offsets = sorted({*edges(expected.sizes), *spread(expected.total, 60)})
        failures = []
        for read, how in ((by_records, "FIN"), (by_python, "FIN"), (by_records, "RST")):
            failures += attack(
                attacker, context, framing, expected, script.body,
                read=read, how=how, offsets=offsets,
            )  # fmt: skip
    no_failures(failures)
    figure(f"{len(offsets)} of {expected.total} offsets in records of {expected.sizes} bytes")
