"""What wrk says at its end, and what counts as a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from kssl.bench.errors import BenchError
from kssl.bench.load.job import Job
from kssl.bench.load.wrk import Wrk, find, parse
from kssl.bench.scenarios import by_name
from tests.bench.load.server import Server
from tests.needs import need

BEGIN, END = "begin 1423 2345.580338", "end 7802 2345.880374"
REST = """\
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   179.38us  397.80us   6.44ms   95.75%
    Req/Sec    35.78k    13.43k   49.58k    63.64%
  39123 requests in 1.10s, 9.25MB read
Requests/sec:  35587.42
Transfer/sec:      8.42MB
done connect=0 read=0 write=0 status=0 timeout=0 latency=50:75,75:143,90:347,99:1921,99.9:5168,
"""
PERCENTILES = ((50, 75), (75, 143), (90, 347), (99, 1921), (99.9, 5168))


def test_what_is_between_the_marks_counts() -> None:
    found = parse(BEGIN, END, REST, connections=4)
    assert (found.units, found.percentiles) == (6379, PERCENTILES)
    assert found.seconds == pytest.approx(0.300036)


def test_no_latency_where_handshakes_would_be_in_it() -> None:
    assert parse(BEGIN, END, REST, connections=1000).percentiles is None


@pytest.mark.parametrize("what", ["connect", "read", "write", "status", "timeout"])
def test_failures_are_failures(what: str) -> None:
    with pytest.raises(BenchError, match=f"wrk saw failures: .*{what}=17"):
        parse(BEGIN, END, REST.replace(f"{what}=0", f"{what}=17"), 4)


@pytest.mark.parametrize(("begin", "end", "rest"), [("", END, REST), (BEGIN, END, "")])
def test_without_what_it_should_say(begin: str, end: str, rest: str) -> None:
    with pytest.raises(BenchError, match="nothing of use"):
        parse(begin, end, rest, 4)


def test_no_reply_at_all_is_no_result() -> None:
    with pytest.raises(BenchError, match="not one reply"):
        parse(BEGIN, END.replace("7802", "1423"), REST, 4)


@pytest.fixture
def wrk() -> Wrk:
    need("wrk", "wrk")
    found = find()
    assert found is not None
    return found


def _job(name: str, path: str, server: Server, folder: Path) -> Job:
    return Job(by_name()[name], f"{server.url}{path}", server.ca, 0.1, folder)


@pytest.mark.parametrize(("name", "path"), [("tiny", "/12"), ("varied", "/12"), ("form", "/form")])
def test_with_wrk(wrk: Wrk, server: Server, tmp_path: Path, name: str, path: str) -> None:
    hooks = list[str]()
    result = wrk.run(
        _job(name, path, server, tmp_path), lambda: hooks.append("b"), lambda: hooks.append("e")
    )
    assert hooks == ["b", "e"]
    assert result.units > 0
    assert result.seconds > 0.09  # wrk's threads end the window by clocks of their own
    assert result.percentiles is not None
    assert server.errors == []


@pytest.mark.parametrize("path", ["/missing", "/moved", "/cut"])
def test_with_wrk_and_bad_replies(
    wrk: Wrk, server: Server, tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kssl.bench.load.wrk._UP_SECONDS", 1.0)
    with pytest.raises(BenchError, match=r"saw failures|did not come to"):
        wrk.run(_job("tiny", path, server, tmp_path), lambda: None, lambda: None)
