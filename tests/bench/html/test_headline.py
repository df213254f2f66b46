"""Sentences follow the figures."""

from __future__ import annotations

from typing import Any

from kssl.bench.html.headline import claims, totals
from kssl.bench.html.model import parse
from tests.bench.html.sample import small


def _with(*ratios: tuple[str, str, str, float, float, float]) -> dict[str, Any]:
    names = ("scenario", "above", "below", "median", "low", "high")
    return small() | {"ratios": [dict(zip(names, one, strict=True)) for one in ratios]}


def test_modes_first_then_nginx() -> None:
    told = _with(
        ("tiny", "kssl kernel", "nginx", 1.52, 1.5, 1.57),
        ("10m", "kssl user", "kssl kernel", 3.03, 2.99, 3.21),
        ("tiny", "kssl user", "kssl kernel", 1.31, 1.27, 1.34),
    )
    first, far, nginx = claims(parse(told))
    assert (first.figure, first.scenario) == ("1.31 ×", "12 B, 32 connections")  # noqa: RUF001
    assert first.sentence.startswith("as much CPU time for user mode as for kernel mode: ")
    assert first.sentence.endswith(" µs per request.")
    assert first.interval == "95 % interval 1.27–1.34"  # noqa: RUF001
    assert (far.figure, far.scenario) == ("3.03 ×", "10 MiB, 4 connections")  # noqa: RUF001
    assert "for kernel mode as for nginx" in nginx.sentence


def test_no_claim_where_the_interval_includes_1() -> None:
    told = _with(("tiny", "kssl kernel", "nginx", 1.01, 0.97, 1.05))
    (claim,) = claims(parse(told))
    assert not claim.shown
    assert claim.sentence.startswith("no difference shown between kernel mode and nginx")


def test_no_claim_where_the_report_gives_no_verdict() -> None:
    told = _with(("tiny", "kssl kernel", "nginx", 1.5, 1.4, 1.6))
    told["ratios"] = [told["ratios"][0] | {"scenario": one} for one in ("tiny", "c1")]
    told["ratios"][0]["verdict"] = "no difference shown"
    whole = parse(told)
    assert not claims(whole)[0].shown
    assert "no verdict on kernel mode and nginx, from too few rounds" in claims(whole)[0].sentence
    assert "more in 1; no verdict in 1." in totals(whole)[0]


def test_no_claim_without_an_interval() -> None:
    told = _with(("tiny", "kssl kernel", "nginx", 1.5, 0, 0))
    told["ratios"][0]["low"] = told["ratios"][0]["high"] = None
    (claim,) = claims(parse(told))
    assert not claim.shown


def test_totals_count_all_scenarios() -> None:
    told = _with(
        ("tiny", "kssl kernel", "nginx", 1.52, 1.5, 1.57),
        ("10m", "kssl kernel", "nginx", 0.41, 0.4, 0.42),
        ("c1", "kssl kernel", "nginx", 1.0, 0.9, 1.1),
    )
    (said,) = totals(parse(told))
    assert "over all 3 scenarios: more in 1; less in 1; no difference shown in 1." in said
    assert "0.41 (10 MiB, 4 connections) and 1.52 (12 B, 32 connections)" in said


def test_nothing_to_say() -> None:
    assert claims(parse(_with())) == []
    assert totals(parse({})) == []


def test_the_verdict_of_the_report_is_kept_and_a_missing_one_computed() -> None:
    told = _with(
        ("tiny", "kssl kernel", "nginx", 1.52, 1.5, 1.57),
        ("c1", "kssl kernel", "nginx", 1.0, 0.9, 1.1),
        ("10m", "kssl kernel", "nginx", 0.4, 0.3, 0.5),
    )
    told["ratios"][2]["verdict"] = "told so"
    verdicts = [one.verdict for one in parse(told).ratios]
    assert verdicts == ["kssl kernel costs more", "no difference shown", "told so"]
