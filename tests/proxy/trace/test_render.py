"""Text, JSON and diagram of a trace that is known."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from kssl.proxy.trace.render import as_json, svg, terminal, times
from kssl.proxy.trace.run import Trace
from tests.proxy.trace.script import TAG, kernel_mode, trace_of, user_mode

SVG = "{http://www.w3.org/2000/svg}"
EVIL = 'unix:/tmp/<script>alert("&")</script>\x1b[31m'


@pytest.fixture
def traces() -> list[Trace]:
    return [trace_of(user_mode(batches=12)), trace_of(kernel_mode(), mode="kernel")]


def parse(drawing: str) -> ElementTree.Element:
    return ElementTree.fromstring(drawing)  # noqa: S314


def texts(drawing: str) -> list[str]:
    return ["".join(found.itertext()) for found in parse(drawing).iter(f"{SVG}text")]


def test_terminal(traces: list[Trace]) -> None:
    lines = terminal.render(traces, width=120, colour=False).splitlines()
    assert lines[0] == "user mode, engine worker, TLSv1.3 TLS_AES_256_GCM_SHA384"
    assert lines[1] == "GET /tiny → demo app: 200, 12 bytes"
    head, *rows = lines[3:13]
    assert [row.split()[0] for row in rows] == [str(number) for number in range(1, 10)]
    assert "HTTPFilter" in rows[2]
    assert "crypto worker 3" in rows[2]
    assert times(traces[0].walk.steps[6]) in rows[6]
    column = head.index("bytes in") + len("bytes in")
    assert [row[:column].split()[-1] for row in rows[2:4]] == [str(80 + TAG + 9), str(80 + 9)]
    assert all(set("▁▂▃▄▅▆▇█") & set(row) for row in rows)
    assert max(map(len, rows)) <= 120
    assert "steps 2 to 8" in lines[13]
    assert lines[-1].startswith("user mode 9 steps and")
    assert "\x1b" not in "".join(lines)


def test_terminal_is_narrow_or_coloured(traces: list[Trace]) -> None:
    narrow = terminal.render(traces, width=40, colour=False)
    assert not set("▁▂▃▄▅▆▇█·") & set(narrow)
    coloured = terminal.render(traces, width=120, colour=True)
    plain = terminal.render(traces, width=120, colour=False)
    assert "\x1b[35m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain


def test_bars_go_from_left_to_right(traces: list[Trace]) -> None:
    rows = terminal.render(traces[1:], width=160, colour=False).splitlines()[4:9]
    begins = [min(row.find(mark) for mark in "▁▂▃▄▅▆▇█" if mark in row) for row in rows]
    assert begins == sorted(begins)
    assert len(set(begins)) == 5


def test_nothing_dangerous_is_printed() -> None:
    trace = trace_of(kernel_mode(), mode="kernel", app=EVIL)
    assert "\x1b" not in terminal.render([trace], width=100, colour=False)
    drawing = svg.render([trace])
    assert "<script" not in drawing
    assert "\x1b" not in drawing
    assert any('<script>alert("&")</script>' in text for text in texts(drawing))


def test_json(traces: list[Trace]) -> None:
    told = json.loads(json.dumps(as_json.to_json(traces, handshake=True)))
    assert told["format"] == "kssl-trace/1"
    user, kernel = told["traces"]
    assert (user["mode"], kernel["mode"]) == ("user", "kernel")
    assert user["reply"] == {"status": 200, "body_bytes": 12, "from_app": True}
    assert [step["number"] for step in user["steps"]] == list(range(1, 10))
    worker, app = user["steps"][6], user["steps"][4]
    assert (worker["iis_name"], worker["process"], worker["pid"]) == (
        "HTTPFilter", "crypto worker", 3,
    )  # fmt: skip
    assert (worker["count"], worker["records_sealed"], app["pid"]) == (12, 12, 99)
    inner = [step for step in user["steps"] if step["process"] != "client"]
    total = sum(step["worked_us"] + step["waited_us"] for step in inner)
    assert total == pytest.approx(user["front_end_us"])
    assert user["handshake"]["steps"] == []
    assert "handshake" not in as_json.to_json(traces)["traces"][0]


def test_svg(traces: list[Trace]) -> None:
    drawing = svg.render(traces)
    root = parse(drawing)
    assert root.tag == f"{SVG}svg"
    shown = texts(drawing)
    twelve = times(traces[0].walk.steps[6])
    assert [text for text in shown if text.startswith("Re")] == [
        "Request", f"Response{twelve}", "Request", "Response",
    ]  # fmt: skip
    assert f"HTTPFilter{twelve}" in shown
    assert "pid 99" in shown
    assert f"{80 + TAG} B · waited 5.0 µs" in shown
    arrows = [path for path in root.iter(f"{SVG}path") if path.get("class") == "arrow"]
    assert len(arrows) == 8 + 4
    assert "prefers-color-scheme: dark" in drawing
    width = float(root.get("width", "0"))
    for box in root.iter(f"{SVG}rect"):
        assert float(box.get("x", "0")) + float(box.get("width", "0")) <= width + 0.01


def test_svg_with_the_handshake(traces: list[Trace]) -> None:
    shown = texts(svg.render(traces[:1], handshake=True))
    assert sum("handshake" in text for text in shown) == 1
