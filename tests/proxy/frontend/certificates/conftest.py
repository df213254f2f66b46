"""A proxy for each mode and count of workers, shared; what clients present; an app."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.proxy.frontend.certificates.served import AskingRig, tell
from tests.proxy.frontend.certificates.wallet import Wallet
from tests.proxy.frontend.upstreams import Upstream

Rigs = Callable[..., AskingRig]


@pytest.fixture(scope="session")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Wallet:
    return Wallet(tmp_path_factory.mktemp("wallet") / "files")


@pytest.fixture(scope="session")
def asking_rigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rigs]:
    running: dict[tuple[str, int], AskingRig] = {}

    def get(mode: str, workers: int = 1) -> AskingRig:
        if (mode, workers) not in running:
            state = tmp_path_factory.mktemp("state")
            running[mode, workers] = AskingRig(mode, state, workers=workers)
        return running[mode, workers]

    yield get
    for rig in running.values():
        rig.stop()


@pytest.fixture(params=["kernel", "user"])
def asking(request: pytest.FixtureRequest, asking_rigs: Rigs) -> Iterator[AskingRig]:
    """A proxy; what it serves is the test's to say."""
    rig = asking_rigs(request.param)
    yield rig
    rig.settle()


@pytest.fixture
def telling() -> Iterator[Upstream]:
    """The app."""
    with Upstream(tell) as upstream:
        yield upstream
