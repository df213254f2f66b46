"""`services`: one running service for all live parameters, and a way to start others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from kssl.config.parameter import Profile
from tests.proxy.effects.service import Running, Services, app
from tests.proxy.frontend.upstreams import Upstream


@pytest.fixture(scope="package")
def upstream() -> Iterator[Upstream]:
    with Upstream(app) as running:
        yield running


@pytest.fixture(scope="package")
def services(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("effects")
    running: list[Running] = []
    with ExitStack() as stack:

        def live() -> Running:
            if not running:
                state = folder / "live"
                state.mkdir(0o700)
                running.append(stack.enter_context(Running(state, upstream, {}, Profile.NATIVE)))
            return running[0]

        yield Services(folder, upstream, live)
