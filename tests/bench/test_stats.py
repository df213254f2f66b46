"""Medians, ratios, the table and the report."""

from __future__ import annotations

import json

import pytest

from bench import report, scenarios
from bench.errors import BenchError
from bench.pinning import Cores
from bench.probe import Probed
from bench.rounds import Round, Usage
from bench.run import Outcome
from bench.stats import Spread, ratio, spread, summarize
from bench.subjects import Subject
from bench.table import number, render

TINY = scenarios.choose(["tiny"])


def one(subject: str, index: int, front: float, worker: float | None = None) -> Round:
    cpu = {"front": Usage(front, front / 2, front / 2)}
    if worker is not None:
        cpu["worker"] = Usage(worker, worker, 0.0)
    return Round("tiny", subject, index, 3000, 3.0, cpu)


ROUNDS = [
    *(one("kssl user", i, front, 10.0) for i, front in enumerate([40.0, 30.0, 50.0])),
    *(one("kssl kernel", i, front, 0.0) for i, front in enumerate([20.0, 22.0, 25.0])),
    *(one("nginx", i, front) for i, front in enumerate([10.0, 20.0, 10.0])),
]


def outcome() -> Outcome:
    names = ("kssl user", "kssl kernel", "nginx")
    return Outcome(
        number=3, seconds=3, scenarios=TINY, cores=Cores(0, 1), load="wrk 4", backend="nginx",
        backend_config="…", clock="schedstat",
        subjects=[Subject(name, 1, {"front": [1]}, "1.0") for name in names],
        probed={name: Probed("TLSv1.3", "TLS_AES_256_GCM_SHA384") for name in names},
        rounds=list(ROUNDS), notes=["without x: missing"],
    )  # fmt: skip


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_summary_adds_the_processes_of_a_round() -> None:
    user, kernel, nginx = summarize(ROUNDS, TINY)
    assert user.cpu == Spread(50.0, 40.0, 60.0)
    assert user.kinds == {"front": 40.0, "worker": 10.0}
    assert kernel.subject == "kssl kernel"
    assert nginx.rate.median == 1000.0
    assert nginx.mb_per_s == pytest.approx(0.012)


def test_ratio_is_taken_round_by_round() -> None:
    found = ratio(ROUNDS, "tiny", "kssl kernel", "nginx")
    assert found is not None
    assert (found.median, found.high) == (2.0, 2.5)
    assert found.low == pytest.approx(1.1)


def test_no_ratio_to_what_was_not_measured() -> None:
    assert ratio(ROUNDS, "tiny", "kssl kernel", "haproxy") is None
    assert ratio(ROUNDS, "10k", "kssl kernel", "nginx") is None


def test_report_as_text() -> None:
    text = report.to_text(outcome())
    assert "12 B x 32 conn: user/kernel 2.40 (1.82-2.50)" in text
    assert "TLSv1.3 TLS_AES_256_GCM_SHA384" in text
    assert "note: without x: missing" in text
    (kernel,) = (line for line in text.splitlines() if "kssl kernel" in line)
    assert kernel.endswith("2.00")


def test_report_as_json() -> None:
    told = json.loads(json.dumps(report.to_json(outcome(), "kssl bench")))
    assert len(told["rounds"]) == 9
    assert told["ratios"]["tiny"]["kssl kernel / nginx"]["median"] == 2.0
    assert told["subjects"][2]["cipher"] == "TLS_AES_256_GCM_SHA384"
    assert told["machine"]["python"]


def test_table() -> None:
    assert render(("a", "b"), [("long", "1"), ("x", "22")]) == "a      b\nlong   1\nx     22"


@pytest.mark.parametrize(("value", "text"), [(0.654, "0.65"), (12.34, "12.3"), (25000.4, "25,000")])
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_scenarios_by_name() -> None:
    assert [scenario.name for scenario in scenarios.choose([])] == ["tiny", "varied", "10k", "10m"]
    assert len(TINY[0].body()) == 12
    with pytest.raises(BenchError, match="there are tiny, varied, 10k, 10m"):
        scenarios.choose(["huge"])
