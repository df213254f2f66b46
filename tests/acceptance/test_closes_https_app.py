"""Two thousand connections that end in every way, in front of an app that speaks TLS itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.config.devca import DevelopmentCA
from kssl.proxy.demo.process import start_demo_app
from tests.acceptance.conftest import Figure
from tests.acceptance.ledger import Ledger, serving
from tests.acceptance.support import MODES

pytestmark = [pytest.mark.acceptance, pytest.mark.parametrize("mode", MODES)]

CLOSES = 2_000


def test_nothing_is_left(figure: Figure, tmp_path: Path, mode: str) -> None:
    ca = DevelopmentCA.open_or_create(tmp_path / "state")
    certificate, key = map(str, ca.ensure_leaf())
    trusted = ("--upstream-ca", str(ca.ca_path))
    with start_demo_app(certfile=certificate, keyfile=key) as app:
        target = f"https://localhost:{app.port}"
        with serving(target, mode, tmp_path, *trusted) as server:
            ledger = Ledger(server)
            seconds = ledger.run(CLOSES)
            ledger.balance()
            upstream = server.status()["closes"]["upstream"]
    figure(f"{CLOSES:,} closes in {seconds:.0f} s; upstreams' ends {upstream}")
