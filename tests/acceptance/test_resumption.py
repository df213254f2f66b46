"""EnableSslCloseNotify as a client meets it: after which ends its session is resumed.

With 1 only after close_notify, with 0 after every end; in both modes and both versions of TLS.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kssl.proxy.service.spawn import spawn_proxy
from tests.acceptance.conftest import Figure
from tests.acceptance.services import Running
from tests.acceptance.support import MODES
from tests.acceptance.visitors import VERSIONS, End, PythonVisitor, SClientVisitor, Visitor

pytestmark = pytest.mark.acceptance

WORKERS, ROUNDS = 3, 6

needed_or_not = pytest.mark.parametrize("needed", [0, 1], ids=["notify=0", "notify=1"])
every_mode = pytest.mark.parametrize("mode", MODES)

Serve = Callable[..., Running]


@pytest.fixture(scope="module")
def serve(app_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """``serve(mode, needed, *more)``: started when it is asked for first."""
    state = tmp_path_factory.mktemp("state")
    running: dict[tuple[str, ...], Running] = {}
    with contextlib.ExitStack() as stack:

        def get(mode: str, needed: int, *more: str) -> Running:
            options = ("--mode", mode, "--set", f"EnableSslCloseNotify={needed}", *more)
            if options not in running:
                process = stack.enter_context(spawn_proxy(str(app_port), *options, state_dir=state))
                running[options] = Running(process, state)
            return running[options]

        yield get


def visitors(server: Running, version: str, folder: Path) -> list[Visitor]:
    session = folder / f"session-{version}"
    return [SClientVisitor(server, version, session), PythonVisitor(server, version)]


def visit(server: Running, everybody: list[Visitor], end: End) -> list[bool]:
    """All come and all end; returns who was resumed, when the proxy has forgotten them all."""
    try:
        resumed = [visitor.come(end) for visitor in everybody]
        for visitor in everybody:
            visitor.end(end)
        server.wait_until_empty()
    finally:
        for visitor in everybody:
            visitor.leave()
    return resumed


@every_mode
@needed_or_not
@pytest.mark.parametrize("end", End, ids=lambda end: end.value)
def test_after_each_end(
    serve: Serve, figure: Figure, tmp_path: Path, mode: str, needed: int, end: End
) -> None:
    more = ("--set", "IdleConnectionTimeout=1") if end is End.SILENT else ()
    server = serve(mode, needed, *more)
    expected = not needed or end is End.CLEAN
    everybody = [(v, each) for v in VERSIONS for each in visitors(server, v, tmp_path)]
    alone = [visitor for _, visitor in everybody]
    before = server.ask()["closes"]
    assert visit(server, alone, end) == [False] * len(alone)  # else the next means nothing
    noted = _received(before, server.ask()["closes"])
    assert noted == {_NOTED[end]: len(alone)}
    observed = visit(server, alone, End.CLEAN)
    seen = [
        f"{version} {visitor.name:8} {'resumed' if resumed else 'full':7}"
        for (version, visitor), resumed in zip(everybody, observed, strict=True)
    ]
    figure(f"{end.value:7} expected {'resumed' if expected else 'full':7} | {' | '.join(seen)}")
    assert observed == [expected] * len(alone)


# How `kssl status` must have counted the end, or the row above was about another one.
_NOTED = {
    End.CLEAN: "close_notify",
    End.FIN: "fin",
    End.RST: "reset",
    End.SILENT: "none",
    End.KILLED: "fin",
}


def _received(before: dict[str, Any], now: dict[str, Any]) -> dict[str, int]:
    """How many clients' ends there were of each kind in between."""
    old, new = before["client"]["received"], now["client"]["received"]
    return {kind: new[kind] - old[kind] for kind in new if new[kind] != old[kind]}


@every_mode
@needed_or_not
@pytest.mark.parametrize("end", [End.CLEAN, End.FIN], ids=lambda end: end.value)
def test_with_several_workers(
    serve: Serve, figure: Figure, tmp_path: Path, mode: str, needed: int, end: End
) -> None:
    """Each client meets the worker that has its session, every time."""
    server = serve(mode, needed, "--workers", str(WORKERS))
    everybody = [each for v in VERSIONS for each in visitors(server, v, tmp_path)]
    expected = not needed or end is End.CLEAN
    rounds = [visit(server, everybody, end) for _ in range(ROUNDS)]
    resumed = [sum(column) for column in zip(*rounds, strict=True)]
    figure(f"{end.value:7} resumed {resumed} of {ROUNDS - 1} times each")
    assert rounds[0] == [False] * len(everybody)
    assert rounds[1:] == [[expected] * len(everybody)] * (ROUNDS - 1)
