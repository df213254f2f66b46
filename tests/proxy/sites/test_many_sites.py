"""Ten sites: certificates by SNI, exchanged under load. tests/acceptance does it with 200."""

from __future__ import annotations

import socket
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from kssl.config.parameter import Profile
from kssl.config.profiles import NEEDS_RESTART
from tests.proxy.frontend.rig import wait_for
from tests.proxy.sites.load import Visit
from tests.proxy.sites.many import SECONDS
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


@both_modes
def test_whoever_was_accepted_before_a_restart_is_served(mode: str, tmp_path: Path) -> None:
    """Also those who have not begun their handshake, and those who have not asked yet."""
    with many_sites(tmp_path, 1, mode=mode) as many, ExitStack() as stack:
        sock = socket.create_connection(("127.0.0.1", many.port), timeout=SECONDS)
        early = stack.enter_context(closing(sock))
        silent = stack.enter_context(closing(Visit(many.sites, many.port, 0)))
        kept = stack.enter_context(closing(Visit(many.sites, many.port, 0)))
        assert kept.ask()
        many.sites.renew(0)
        many.restart()
        assert many.served(0) == 1
        # The old service says that it goes; its certificate was the one before.
        assert not kept.ask()
        assert not silent.ask()
        late = stack.enter_context(closing(Visit(many.sites, many.port, 0, early)))
        assert not late.ask()
        assert late.certificate == many.sites.certificates[0][0]
