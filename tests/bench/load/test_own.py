"""Our own client, in every kind, against a server that looks at what it does."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from kssl.bench.errors import BenchError
from kssl.bench.load.job import Job, LoadResult
from kssl.bench.load.own import OwnClient, parse
from kssl.bench.scenarios import Scenario, by_name
from tests.bench.load.server import Server, running

SECONDS = 0.1


def _few(name: str) -> Scenario:
    scenario = by_name()[name]
    return replace(
        scenario, connections=min(4, scenario.connections), size=min(20000, scenario.size)
    )


def _run(scenario: Scenario, path: str, server: Server, folder: Path) -> tuple[LoadResult, str]:
    hooks = list[str]()
    job = Job(scenario, f"{server.url}{path}", server.ca, SECONDS, folder)
    result = OwnClient().run(job, lambda: hooks.append("begin"), lambda: hooks.append("end"))
    return result, " ".join(hooks)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("tiny", "/12"),
        ("varied", "/12"),
        ("10m", "/20000"),
        ("10m-up", "/upload"),
        ("form", "/form"),
        ("full", "/12"),
        ("resumed", "/12"),
        ("websocket", "/ws"),
        ("c4", "/12"),
        ("idle", "/12"),  # at its fixed rate
    ],
)
def test_every_kind(server: Server, tmp_path: Path, name: str, path: str) -> None:
    scenario = _few(name)
    result, hooks = _run(scenario, path, server, tmp_path)
    assert hooks == "begin end"
    assert result.units > 0
    assert SECONDS <= result.seconds < 2
    assert result.percentiles is not None
    assert [percentile for percentile, _ in result.percentiles] == [50, 75, 90, 99, 99.9]
    assert server.errors == []
    if scenario.uploads:
        assert server.lengths == {scenario.size}
    if scenario.varied:
        assert len(set(server.numbers)) == len(server.numbers) > 0
    if scenario.kind == "handshake":
        # The first of each connection's line is full in any case.
        full = server.connections - server.resumed
        assert full == (scenario.connections if scenario.resumed else server.connections)
        assert server.connections > 2 * scenario.connections
    else:
        assert server.connections == scenario.connections


def test_a_fixed_rate_is_kept(server: Server, tmp_path: Path) -> None:
    began = time.monotonic()
    result, _ = _run(replace(_few("idle"), rate=200), "/12", server, tmp_path)
    assert result.units > 0
    # As fast as it can, it would be thousands.
    assert server.requests <= 200 * (time.monotonic() - began) + 4


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("tiny", "/missing", "not a good reply: b'HTTP/1.1 404"),
        ("tiny", "/moved", "not a good reply: b'HTTP/1.1 302"),
        ("tiny", "/cut", "a body of 7 bytes instead of 12"),
        ("tiny", "/13", "a body of 13 bytes instead of 12"),
        ("form", "/cut", "closed the connection too early"),
        ("full", "/silence", "closed the connection too early"),
        ("websocket", "/12", "no WebSocket: b'HTTP/1.1 200"),
    ],
)
def test_failures_are_failures(
    server: Server, tmp_path: Path, name: str, path: str, said: str
) -> None:
    with pytest.raises(BenchError, match=said):
        _run(_few(name), path, server, tmp_path)


def test_a_session_that_is_not_resumed_is_a_failure(tmp_path: Path) -> None:
    with (
        running(tmp_path / "ca.pem", tickets=0) as server,
        pytest.raises(BenchError, match=r"no session to resume|was not resumed"),
    ):
        _run(_few("resumed"), "/12", server, tmp_path)


def test_a_certificate_of_somebody_else_is_a_failure(server: Server, tmp_path: Path) -> None:
    with (
        running(tmp_path / "other.pem") as other,
        pytest.raises(BenchError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        _run(_few("tiny"), "/12", replace(server, ca=other.ca), tmp_path)


def test_nobody_listens(tmp_path: Path) -> None:
    with running(tmp_path / "ca.pem") as server:
        pass
    with pytest.raises(BenchError, match="cannot connect to localhost"):
        _run(_few("tiny"), "/12", server, tmp_path)


def test_idle_connections(server: Server, tmp_path: Path) -> None:
    seen = list[tuple[str, int]]()
    job = Job(_few("idle"), f"{server.url}/12", server.ca, SECONDS, tmp_path)
    OwnClient().hold(
        job, 150,
        lambda: seen.append(("up", server.requests)),
        lambda: seen.append(("meanwhile", server.connections)),
    )  # fmt: skip
    assert seen == [("up", 150), ("meanwhile", 150)]


def test_an_idle_connection_that_is_closed_is_a_failure(tmp_path: Path) -> None:
    with running(tmp_path / "ca.pem") as server:
        job = Job(_few("idle"), f"{server.url}/12", server.ca, SECONDS, tmp_path)
        with pytest.raises(BenchError, match="closed an idle connection"):
            OwnClient().hold(job, 3, lambda: None, server.drop_all)


def test_what_it_says() -> None:
    text = 'done {"units": 5, "seconds": 2.5, "percentiles": [[50, 10.5], [99, 20]]}\n'
    assert parse(text) == LoadResult(5, 2.5, ((50, 10.5), (99, 20)))
    with pytest.raises(BenchError, match="nothing of use"):
        parse("begin 1.0\n")
