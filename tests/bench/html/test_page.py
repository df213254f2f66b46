"""The page as a whole: well-formed, nothing from elsewhere, whatever the report holds."""

from __future__ import annotations

import base64
import copy
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from kssl.bench.html import picture, render
from tests.bench.html.reading import Reading
from tests.bench.html.sample import HOSTILE, LONG, report, small


@pytest.fixture(scope="module")
def page() -> str:
    return render(report())


def test_is_well_formed(page: str) -> None:
    read = Reading(page)
    ids = [told["id"] for _, told in read.elements if "id" in told]
    assert len(ids) == len(set(ids))
    links = {told["href"] for tag, told in read.elements if tag == "a"}
    assert links == {f"#{one}" for one in ids}
    assert len(read.drawings) > 30


def test_needs_nothing_from_elsewhere(page: str) -> None:
    read = Reading(page)
    tags = {tag for tag, _ in read.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "use"}
    names = {name for _, told in read.elements for name in told}
    assert not {name for name in names if name.startswith("on") or name in {"src", "style"}}
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert "@import" not in style
    assert "url(" not in style


def test_the_policy_allows_the_style_and_nothing_else(page: str) -> None:
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = (
        told["content"]
        for _, told in Reading(page).elements
        if told.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def test_is_small(page: str) -> None:
    assert len(page.encode()) < 2**20


def test_names_and_notes_are_text(page: str) -> None:
    assert HOSTILE not in page
    said = "".join(Reading(page).text)
    assert said.count(HOSTILE) > 20
    assert LONG in said
    assert "gave up & went </main>" in said


def test_every_text_of_the_report_is_escaped() -> None:
    """Whatever string of the report is the hostile one."""
    told = small("idle")
    bad = "\"'><b>&\x00\x1b\ud800\u202e"
    changed = 0
    for holder, key, value in _places(told):
        if isinstance(value, str):
            holder[key] = bad
            for drawn in (render(told), picture(told)):
                assert "<b>&" not in drawn
                assert "\x00" not in drawn
                drawn.encode()
            holder[key] = value
            changed += 1
    assert changed > 40


def test_anything_may_be_null_or_missing() -> None:
    told = small("tiny", "idle")
    changed = 0
    for holder, key, value in _places(told):
        holder[key] = None
        render(told)
        picture(told)
        holder[key] = value
        changed += 1
    assert changed > 150


@pytest.mark.parametrize("missing", ["subjects", "scenarios", "results", "ratios", "machine"])
def test_a_part_may_be_missing(missing: str) -> None:
    told = small()
    del told[missing]
    Reading(render(told))
    Reading(picture(told))


def test_nothing_at_all() -> None:
    page = render({})
    read = Reading(page)
    assert "has no headline" in page
    assert not read.drawings
    assert not any(tag == "table" for tag, _ in read.elements)
    assert "nothing was measured" in picture({})


def test_no_peers() -> None:
    told = report()
    ours = {one["name"] for one in told["subjects"] if one["kind"] == "kssl"}
    told["subjects"] = [one for one in told["subjects"] if one["name"] in ours]
    told["results"] = [one for one in told["results"] if one["subject"] in ours]
    told["ratios"] = [one for one in told["ratios"] if one["below"] in ours]
    page = render(told)
    said = "".join(Reading(page).text)
    assert "user mode / kernel mode" in said
    assert "kssl / nginx" not in said
    assert "another proxy, user" not in said


def test_tables_have_headings_with_scope(page: str) -> None:
    read = Reading(page)
    scopes = [told.get("scope") for tag, told in read.elements if tag == "th"]
    assert {"col", "row", "rowgroup"} == set(scopes)
    tables = sum(tag == "table" for tag, _ in read.elements)
    assert tables == sum(tag == "caption" for tag, _ in read.elements) == 8


def test_what_was_not_measured_is_no_zero() -> None:
    told = small()
    for result in told["results"]:
        result["per_s"] = result["peak_memory_kib"] = None
    page = render(told)
    assert page.count("<td>–</td>") >= 2 * len(told["results"])  # noqa: RUF001 - a dash
    assert "<td>0.00</td>" not in page


def test_does_not_change_the_report() -> None:
    told = small()
    before = copy.deepcopy(told)
    render(told)
    picture(told)
    assert told == before


def _places(told: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Every place of a value in it, with what holds it; of lists the first and the last."""
    pairs = list(told.items() if isinstance(told, dict) else enumerate(told))
    if isinstance(told, list) and len(pairs) > 2:
        pairs = [pairs[0], pairs[-1]]
    for key, value in pairs:
        yield told, key, value
        if isinstance(value, dict | list):
            yield from _places(value)
