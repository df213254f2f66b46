"""Ten sites: certificates by SNI, exchanged under load. tests/acceptance does it with 200."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.parameter import Profile
from config.profiles import NEEDS_RESTART
from tests.proxy.frontend.rig import wait_for
from tests.proxy.sites.scenarios import many_sites, renewed_under_load, restarted_under_load

both_modes = pytest.mark.parametrize("mode", ["kernel", "user"])


@both_modes
def test_certificates_and_restarts_under_load(mode: str, tmp_path: Path) -> None:
    with many_sites(tmp_path, 10, mode=mode) as many:
        assert many.service.mode == mode
        assert many.served_everywhere() == [0] * 10
        renewed_under_load(many, times=4, beyond=50)
        restarted_under_load(many, times=1, beyond=100)


def test_a_restart_is_needed_in_ws2003sp1(tmp_path: Path) -> None:
    """SIGHUP changes no certificate there, and says what does."""
    with many_sites(tmp_path, 3, mode="user", profile=Profile.WS2003SP1) as many:
        many.sites.renew(1)
        many.reload()
        wait_for(lambda: NEEDS_RESTART in many.stderr, "the reason")
        assert many.served_everywhere() == [0, 0, 0]
        many.restart()
        assert many.served_everywhere() == [0, 1, 0]
