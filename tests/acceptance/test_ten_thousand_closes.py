"""Ten thousand connections that end in every way leave nothing behind but numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.conftest import Figure
from tests.acceptance.ledger import Ledger, serving
from tests.acceptance.support import MIB, MODES

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("mode", MODES)]

CLOSES = 10_000

# OpenSSL's cache in the worker holds 20,480 sessions of about 1.1 KiB: it must be full before
# memory can tell anything. A clean close leaves one of them.
FILL = 20_480

# What front end and worker may grow by in the second ten thousand, in bytes: heaps are never quite
# at rest. An object of 300 bytes forgotten for each connection is more; in the worker, 450.
GROWTH = (2 * MIB, 4 * MIB)


def test_nothing_is_left(app_port: int, figure: Figure, tmp_path: Path, mode: str) -> None:
    with serving(str(app_port), mode, tmp_path) as server:
        ledger = Ledger(server)
        ledger.fill(FILL)
        seconds = ledger.run(CLOSES)
        ledger.balance()
        before = server.memory()
        ledger.run(CLOSES)
        ledger.balance()
        grown = [now - old for now, old in zip(server.memory(), before, strict=True)]
    front, worker = (f"{size / 1024:+,.0f} KiB" for size in grown)
    figure(f"{CLOSES:,} closes in {seconds:.0f} s; the next {CLOSES:,}: {front}, worker {worker}")
    assert grown[0] < GROWTH[0], "the front end grows"
    assert grown[1] < GROWTH[1], "the worker grows"
