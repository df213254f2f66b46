"""200 sites with 200 certificates on one address, in front of 200 apps."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.config.parameter import Profile
from kssl.config.profiles import NEEDS_RESTART
from tests.acceptance.conftest import Figure
from tests.acceptance.support import MODES
from tests.proxy.frontend.rig import wait_for
from tests.proxy.sites.scenarios import many_sites, renewed_under_load, restarted_under_load

pytestmark = pytest.mark.acceptance

SITES = 200
LONGEST_START = 3.0  # seconds, from the start of the process until it accepts


@pytest.mark.parametrize("mode", MODES)
def test_200_sites(mode: str, tmp_path: Path, figure: Figure) -> None:
    """Each name gets its certificate and its app; then certificates are renewed and the service
    restarted under load, and nobody who asks misses an answer."""
    with many_sites(tmp_path, SITES, mode=mode) as many:
        figure(f"ready after {many.started_in:.2f} s")
        assert many.started_in < LONGEST_START
        assert many.served_everywhere() == [0] * SITES
        load = renewed_under_load(many, times=10, beyond=500)
        figure(f"10 renewals, {load.answers} answers on {len(load.seen)} connections, none lost")
        load = restarted_under_load(many, times=3, beyond=2_000)
        figure(f"3 restarts, {load.answers} answers on {len(load.seen)} connections, none lost")


def test_200_sites_in_ws2003sp1(tmp_path: Path) -> None:
    """SIGHUP changes no certificate there, and says what does."""
    with many_sites(tmp_path, SITES, mode="user", profile=Profile.WS2003SP1) as many:
        many.sites.renew(1)
        with many.load() as load:
            many.reload()
            wait_for(lambda: NEEDS_RESTART in many.stderr, "the reason")
            assert many.served(1) == 0
            many.restart()
            assert many.served(1) == 1
        load.check()
