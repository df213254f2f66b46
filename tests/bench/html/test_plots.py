"""What is drawn is what was measured, and can be read."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from kssl.bench.html import picture, render
from kssl.bench.html.markup import Markup
from kssl.bench.html.model import Report, parse
from kssl.bench.html.plots import bodies, connections, cpu, idle, latency, ratios
from kssl.bench.html.plots.bars import longest
from tests.bench.html.reading import Reading, overlapping
from tests.bench.html.sample import report, small

WHOLE = report()


@pytest.fixture(scope="module")
def whole() -> Report:
    return parse(WHOLE)


def test_no_label_overlaps_another() -> None:
    drawings = [*Reading(render(WHOLE)).drawings, *Reading(picture(WHOLE)).drawings]
    assert sum(len(drawing.texts) for drawing in drawings) > 1000
    touching = {drawing.said: overlapping(drawing) for drawing in drawings}
    assert {said: pairs for said, pairs in touching.items() if pairs} == {}


@pytest.mark.parametrize("factor", [1e-6, 1e-3, 0.11, 7.7, 1e3, 1e6])
def test_no_label_overlaps_whatever_the_size(factor: float) -> None:
    told = _scaled(small(), factor)
    for drawing in (*Reading(render(told)).drawings, *Reading(picture(told)).drawings):
        assert overlapping(drawing) == [], drawing.said


def test_overlaps_would_be_seen() -> None:
    (drawing,) = Reading(
        '<svg role="img" viewBox="0 0 340 50"><text class="tick" x="1" y="20">long name</text>'
        '<text class="tick" x="30" y="24">other</text></svg>'
    ).drawings
    assert overlapping(drawing) == [("long name", "other")]


def test_one_mark_for_each_ratio(whole: Report) -> None:
    read = Reading("".join(panel.drawing for panel in ratios.panels(whole)))
    assert read.count("g", "ratio") == len(WHOLE["ratios"]) > 400
    marks = [
        told for _, told in read.elements if {"mark", "hollow"} & set(told.get("class", "").split())
    ]
    assert len(marks) == len(WHOLE["ratios"])


def test_a_mark_is_hollow_where_the_interval_includes_1(whole: Report) -> None:
    read = Reading("".join(panel.drawing for panel in ratios.panels(whole)))
    hollow = sum("hollow" in told.get("class", "").split() for _, told in read.elements)
    assert hollow == sum(one["low"] <= 1 <= one["high"] for one in WHOLE["ratios"]) > 0


def test_nginx_and_kernel_mode_come_first(whole: Report) -> None:
    headings = [panel.heading for panel in ratios.panels(whole)]
    assert headings[:2] == ["kssl / nginx", "user mode / kernel mode"]
    assert len(headings) == 10


def test_one_panel_of_cpu_time_for_each_scenario(whole: Report) -> None:
    panels = cpu.panels(whole)
    assert [panel.heading for panel in panels] == [one["label"] for one in WHOLE["scenarios"]]
    assert "µs of CPU per request" in panels[0].note
    assert any("ms of CPU" in panel.note for panel in panels)


def test_parts_of_cpu_time_add_up_to_the_median(whole: Report) -> None:
    seen = set()
    for scenario in whole.scenarios:
        for subject, result in whole.of(scenario):
            parts = cpu.parts(subject, result)
            seen |= {css for _, css in parts}
            total = result.cpu.median if result.cpu else 0.0
            assert sum(value for value, _ in parts) == pytest.approx(total)
    assert {"p-front-user", "p-front-system", "p-filter", "p-worker-user", "p-peer-user"} <= seen


def test_cpu_time_without_a_split_is_drawn_whole() -> None:
    told = small()
    for result in told["results"]:
        result["cpu_us"]["user"] = result["cpu_us"]["system"] = None
        result["cpu_us"]["by_process"] = None
    whole = parse(told)
    for subject, result in whole.of(whole.scenarios[0]):
        assert result.cpu is not None
        assert cpu.parts(subject, result) == [(result.cpu.median, "p-unknown")]


def test_who_was_not_measured_keeps_its_line(whole: Report) -> None:
    (panel,) = (one for one in cpu.panels(whole) if one.heading == "10 KiB, 32 connections")
    assert panel.drawing.count("not measured") == 1
    said = _texts(panel.drawing)
    assert len([one for one in said if one == "stunnel"]) == 1


def test_the_far_one_is_cut_and_the_others_keep_their_length(whole: Report) -> None:
    assert longest([1.0, 2.0, 3.0, 4.0, 200.0]) == 4.0
    assert longest([1.0, 2.0]) == 2.0
    assert longest([5.0, 5.0, 5.0]) == 5.0
    assert longest([]) == 0.0
    assert Reading(cpu.panels(whole)[0].drawing).count("path", "gap") == 1


def test_percentiles(whole: Report) -> None:
    panels = latency.panels(whole)
    assert len(panels) == len(WHOLE["scenarios"])
    assert len(latency.keys()) == 4


def test_connections_are_in_order(whole: Report) -> None:
    throughput, cpu_time, p99 = connections.panels(whole)
    for panel in (throughput, cpu_time, p99):
        said = _texts(panel.drawing)
        assert [one for one in said if one in {"1", "4", "32", "256", "1000"}] == [
            "1", "4", "32", "256", "1000",
        ]  # fmt: skip


def test_one_number_of_connections_is_no_line() -> None:
    told = small()
    told["scenarios"] = [one for one in told["scenarios"] if one["kind"] != "connections"]
    told["results"] = [one for one in told["results"] if one["scenario"] == "tiny"]
    told["ratios"] = []
    assert connections.panels(parse(told)) == []


def test_large_bodies_and_idle_connections(whole: Report) -> None:
    assert len(bodies.panels(whole)) == 3
    memory, beside = idle.panels(whole)
    assert "KiB" in memory.note
    # Caddy has no second figure.
    assert "caddy" in _texts(memory.drawing)
    assert "caddy" not in _texts(beside.drawing)


def _texts(drawing: Markup) -> list[str]:
    (read,) = Reading(drawing).drawings
    return [text.said for text in read.texts]


def _scaled(told: dict[str, Any], factor: float) -> dict[str, Any]:
    """With all figures of results and ratios multiplied, of one subject even more."""

    def walk(value: Any, times: float) -> Any:
        if isinstance(value, dict):
            return {key: walk(one, times) for key, one in value.items()}
        if isinstance(value, list):
            return [walk(one, times) for one in value]
        return value * times if isinstance(value, int | float) else value

    told = copy.deepcopy(told)
    for part in ("results", "ratios"):
        told[part] = [
            walk(one, factor * (30 if "nginx" in str(one) else 1)) for one in told[part]
        ]  # fmt: skip
    return told
