"""The picture for a README."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from kssl.bench.html import picture
from tests.bench.html.reading import Reading
from tests.bench.html.sample import HOSTILE, report, small


def test_is_an_image_of_its_own() -> None:
    drawn = picture(report())
    root = ET.fromstring(drawn)  # noqa: S314 - our own
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.get("width") == "800"
    assert "url(" not in drawn
    assert "@import" not in drawn
    assert "href" not in drawn
    assert "prefers-color-scheme: dark" in drawn
    assert HOSTILE not in drawn


def test_shows_everybody_in_the_main_scenarios() -> None:
    (drawing,) = Reading(picture(report())).drawings
    said = [text.said for text in drawing.texts]
    assert {"kssl kernel", "kssl user", "kssl user 2 hops", "nginx", "nginx-plain"} <= set(said)
    assert said.count("per request") == 3
    assert said.count("per connection") == 1
    assert said.count("not measured") == 1


def test_fewer_scenarios_than_columns() -> None:
    told = small()
    told["results"] = [one for one in told["results"] if one["scenario"] == "c1"]
    (drawing,) = Reading(picture(told)).drawings
    assert "12 B, 1 connection" in [text.said for text in drawing.texts]
