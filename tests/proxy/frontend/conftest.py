"""`proxy`: a running proxy, by default once for each mode and codec; `serve` puts a scripted
upstream behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Protocol

import pytest

from tests.proxy.frontend.rig import Rig
from tests.proxy.frontend.upstreams import Script, Upstream

ALL = [(mode, codec) for mode in ("kernel", "user") for codec in ("httptools", "h11")]


class Serve(Protocol):
    def __call__(self, script: Script, **parameters: int) -> Upstream: ...


@pytest.fixture(scope="session")
def rigs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Rig]]:
    running: dict[str, Rig] = {}
    state_dir = tmp_path_factory.mktemp("state")

    def get(mode: str) -> Rig:
        if mode not in running:
            running[mode] = Rig(mode, state_dir)
        return running[mode]

    yield get
    for rig in running.values():
        rig.stop()


@pytest.fixture(params=ALL, ids=["-".join(pair) for pair in ALL])
def proxy(request: pytest.FixtureRequest, rigs: Callable[[str], Rig]) -> Iterator[Rig]:
    mode, codec = request.param
    rig = rigs(mode)
    rig.codec = codec
    rig.configure()
    yield rig
    rig.settle()


@pytest.fixture
def serve(proxy: Rig) -> Iterator[Serve]:
    """Starts an upstream and sends all requests there; it is checked when the test ends."""
    with ExitStack() as stack:

        def start(script: Script, **values: int) -> Upstream:
            upstream = stack.enter_context(Upstream(script))
            proxy.configure(port=upstream.port, **values)
            return upstream

        yield start
