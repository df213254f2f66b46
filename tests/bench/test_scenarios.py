"""The scenarios, and where backends answer to them."""

from __future__ import annotations

import pytest

from kssl.bench.backend import Backend
from kssl.bench.errors import BenchError
from kssl.bench.load.choose import Loads
from kssl.bench.load.h2load import H2load
from kssl.bench.load.own import OwnClient
from kssl.bench.load.wrk import Wrk
from kssl.bench.scenarios import SCENARIOS, Scenario, by_name, choose

NAMES = [
    "tiny", "varied", "10k", "1m", "10m", "10m-up", "form", "full", "resumed", "websocket",
    "c1", "c4", "c256", "c1000", "latency", "idle",
]  # fmt: skip


def test_names() -> None:
    assert [scenario.name for scenario in SCENARIOS] == NAMES
    assert [scenario.name for scenario in choose(["10k", "tiny"])] == ["10k", "tiny"]
    with pytest.raises(BenchError, match="there are tiny, varied, 10k"):
        choose(["huge"])


@pytest.mark.parametrize("scenario", SCENARIOS, ids=NAMES)
def test_bodies_have_their_size(scenario: Scenario) -> None:
    assert len(scenario.body()) == scenario.size


def test_units() -> None:
    units = [by_name()[name].unit for name in ("tiny", "full", "websocket")]
    assert units == ["request", "connection", "message"]


@pytest.mark.parametrize(
    ("name", "of_nginx", "of_the_demo_app"),
    [
        ("tiny", "/12.bin", "/bytes/12"),
        ("varied", "/varied/12.bin", "/bytes/12"),
        ("10m-up", "/upload", "/upload"),
        ("form", "/form", "/upload"),
    ],
)
def test_paths(name: str, of_nginx: str, of_the_demo_app: str) -> None:
    scenario = by_name()[name]
    assert Backend(1, "nginx", "").path(scenario) == of_nginx
    assert Backend(1, "demo app", "").path(scenario) == of_the_demo_app


def test_which_load() -> None:
    tools = Loads(Wrk("wrk", "4"), H2load("h2load", "1"), OwnClient())
    names = {name: tools.for_scenario(by_name()[name]).name for name in NAMES}
    own = {"10m-up", "full", "resumed", "websocket"}
    assert {name for name, load in names.items() if load == "h2load"} == {"latency", "idle"}
    assert {name for name, load in names.items() if load == OwnClient().name} == own
    none = Loads(None, None, OwnClient())
    assert {none.for_scenario(one).name for one in SCENARIOS} == {OwnClient().name}
