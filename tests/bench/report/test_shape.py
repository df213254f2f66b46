"""The report as JSON: it has its shape, and the figures are those of the rounds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kssl.bench.report.shape import to_report
from tests.bench.report.sample import outcome
from tests.bench.report.schema import WrongShapeError, check


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    told: dict[str, Any] = json.loads(json.dumps(to_report(outcome(), "kssl bench")))
    return told


def _result(report: dict[str, Any], scenario: str, subject: str) -> dict[str, Any]:
    (found,) = (
        one for one in report["results"] if (one["scenario"], one["subject"]) == (scenario, subject)
    )
    return dict(found)


def test_shape(report: dict[str, Any]) -> None:
    check(report)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), "kssl-bench/2"),
        (("results", 0, "per_s", "median"), 0),
        (("results", 0, "copied_bytes"), "many"),
        (("subjects", 0, "kind"), "friend"),
        (("results", 0, "subject"), "squid"),
        (("results", 0, "cpu_us", "by_process", "front", "user"), 1e6),
    ],
)
def test_the_check_itself(path: tuple[Any, ...], value: object) -> None:
    report = json.loads(json.dumps(to_report(outcome(), "kssl bench")))
    part = report
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = value
    with pytest.raises(WrongShapeError):
        check(report)


def test_processes_of_a_round_add_up(report: dict[str, Any]) -> None:
    cpu = _result(report, "tiny", "kssl user")["cpu_us"]
    assert (cpu["median"], cpu["low"], cpu["high"]) == pytest.approx((50.0, 40.0, 60.0))
    assert cpu["rounds"] == pytest.approx([50.0, 40.0, 60.0, 51.0, 49.0])
    assert cpu["user"] == pytest.approx(37.5)
    assert cpu["system"] == pytest.approx(12.5)
    assert cpu["by_process"]["worker"]["user"] == pytest.approx(7.5)


def test_rates(report: dict[str, Any]) -> None:
    result = _result(report, "10k", "nginx")
    assert result["per_s"]["median"] == 1000.0
    assert result["mb_per_s"]["median"] == pytest.approx(10.24)
    assert _result(report, "tiny", "nginx")["mb_per_s"] is None


def test_latency(report: dict[str, Any]) -> None:
    latency = _result(report, "tiny", "nginx")["latency_us"]
    assert latency["p99"]["median"] == 2500.0
    assert latency["percentiles"][-1] == [99.9, 9000.0]
    # It did not keep up with the rate.
    assert _result(report, "latency", "kssl user")["latency_us"] is None


def test_counts_and_idle_are_null_elsewhere(report: dict[str, Any]) -> None:
    user = _result(report, "tiny", "kssl user")
    assert user["crossings"] == {"frames": 4.0, "sends": 2.5, "bytes": 600.0}
    assert (user["copied_bytes"], user["system_calls"]) == (2000.0, 6.5)
    kernel = _result(report, "tiny", "kssl kernel")
    assert (kernel["crossings"], kernel["copied_bytes"], kernel["idle"]) == (None, None, None)
    assert _result(report, "idle", "kssl kernel")["idle"]["kib_per_connection"] == 37.1


def test_ratios(report: dict[str, Any]) -> None:
    tiny = {(one["above"], one["below"]): one for one in report["ratios"]
            if one["scenario"] == "tiny"}  # fmt: skip
    assert set(tiny) == {
        ("kssl user", "nginx"),
        ("kssl kernel", "nginx"),
        ("kssl user", "kssl kernel"),
    }
    assert tiny["kssl user", "kssl kernel"]["verdict"] == "kssl user costs more"
    assert tiny["kssl kernel", "nginx"]["verdict"] == "no difference shown"
    assert tiny["kssl kernel", "nginx"]["median"] == pytest.approx(2.0)


def test_what_was_not_measured_is_missing(report: dict[str, Any]) -> None:
    measured = [(one["scenario"], one["subject"]) for one in report["results"]]
    assert ("full", "nginx-plain") not in measured
    assert [one for one in measured if one[0] == "idle"] == [("idle", "kssl kernel")]
