"""What h2load says at its end and in its log, and what counts as a failure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kssl.bench.errors import BenchError
from kssl.bench.load.h2load import find, parse, parse_log
from kssl.bench.load.job import Job
from kssl.bench.scenarios import by_name
from tests.bench.load.server import Server
from tests.needs import need

GOOD = """\
Stopped all clients for thread #0

finished in 1.10s, 6.00 req/s, 1.45KB/s
requests: 6 total, 6 started, 6 done, 6 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 6 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.45KB (1488) total, 1.45KB (1480) headers (space savings 0.00%), 96B (96) data
"""
LOG = ["1795258639318079\t200\t566\n", "1795258639318618\t200\t227\n"]


def test_summary() -> None:
    assert parse(GOOD) == 6


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("6 succeeded, 0 failed", "0 succeeded, 6 failed"),
        ("0 errored", "2 errored"),
        ("0 timeout", "1 timeout"),
        ("6 done", "7 done"),
    ],
)
def test_failures_are_failures(good: str, bad: str) -> None:
    with pytest.raises(BenchError, match="h2load saw failures: requests: 6"):
        parse(GOOD.replace(good, bad))


def test_without_a_summary() -> None:
    with pytest.raises(BenchError, match="nothing of use"):
        parse("starting benchmark...\n")


def test_log() -> None:
    assert parse_log(LOG) == [566, 227]


def test_a_bad_status_in_the_log() -> None:
    with pytest.raises(BenchError, match="status 302"):
        parse_log([*LOG, "1795258639318618\t302\t227\n"])


def test_with_h2load(server: Server, tmp_path: Path) -> None:
    need("h2load", "nghttp2-client")
    h2load = find()
    assert h2load is not None
    scenario = replace(by_name()["latency"], connections=2, rate=200)
    hooks = list[str]()
    result = h2load.run(
        Job(scenario, f"{server.url}/12", server.ca, 0.5, tmp_path),
        lambda: hooks.append("b"),
        lambda: hooks.append("e"),
    )
    assert hooks == ["b", "e"]
    assert 50 <= result.units <= 110
    assert result.percentiles is not None
    assert 0 < result.percentiles[0][1] <= result.percentiles[-1][1]
