"""What wrk and the built-in client say, and what counts as a failure."""

from __future__ import annotations

import json

import pytest

from bench.errors import BenchError
from bench.load import Load, LoadResult, parse_client, parse_wrk

GOOD = """\
Running 3s test @ https://localhost:8443/12.bin
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.35ms    1.02ms  20.50ms   96.01%
    Req/Sec    23.49k     1.90k   25.12k    90.00%
  70123 requests in 3.00s, 10.23MB read
Requests/sec:  23367.11
Transfer/sec:      3.41MB
"""


def test_wrk_summary() -> None:
    assert parse_wrk(GOOD) == LoadResult(70123, 3.0)


@pytest.mark.parametrize(("text", "seconds"), [("1.50m", 90.0), ("900.00ms", 0.9)])
def test_wrk_units_of_time(text: str, seconds: float) -> None:
    assert parse_wrk(GOOD.replace("3.00s", text)).seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    "line",
    [
        "  Non-2xx or 3xx responses: 17",
        "  Socket errors: connect 0, read 3, write 0, timeout 0",
    ],
)
def test_wrk_failures_are_failures(line: str) -> None:
    text = GOOD.replace("Requests/sec", f"{line}\nRequests/sec")
    with pytest.raises(BenchError, match=line.strip()[:20]):
        parse_wrk(text)


def test_wrk_without_a_summary() -> None:
    with pytest.raises(BenchError, match="nothing of use"):
        parse_wrk("unable to connect to localhost:1 Connection refused\n")


def test_no_reply_at_all_is_no_result() -> None:
    with pytest.raises(BenchError, match="not one reply"):
        parse_wrk(GOOD.replace("70123 requests", "0 requests"))


def test_client() -> None:
    text = json.dumps({"requests": 5, "seconds": 2.5, "errors": []})
    assert parse_client(text) == LoadResult(5, 2.5)


def test_client_failures_are_failures() -> None:
    text = json.dumps({"requests": 5, "seconds": 2.5, "errors": ["OSError: gone"]})
    with pytest.raises(BenchError, match="gone"):
        parse_client(text)


def test_a_load_that_ends_with_an_error() -> None:
    load = Load("sh", "1", lambda *_: ["sh", "-c", "echo broken >&2; exit 3"], parse_wrk)
    with pytest.raises(BenchError, match="broken"):
        load.run("https://localhost:1/", 1, 1)
