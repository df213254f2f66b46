"""Table, sentences, JSON and diagrams of a result that is known."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

from kssl.proxy.demo.truncation.closing import sentences
from kssl.proxy.demo.truncation.orders import CUT_EXECUTED, EXECUTED, FULL, NOT_EXECUTED, RESUMES
from kssl.proxy.demo.truncation.picture import Arrow, Note, Picture, pictures
from kssl.proxy.demo.truncation.render import as_json, diagram, svg, table
from kssl.proxy.demo.truncation.rows import GUARD, OFF, ON, OWN
from kssl.proxy.demo.truncation.run import Result
from tests.proxy.demo.truncation.sample import EVIL, result, row

SVG = "{http://www.w3.org/2000/svg}"


def test_the_table() -> None:
    lines = table.render(result(), width=100, colour=False).splitlines()
    assert lines[0].startswith("1. A reply, cut between proxy and client")
    assert lines[2:6] == [
        "setting                 mode  client         honest       attacked  "
        "believes when attacked",
        "EnableSslCloseNotify=0  both  http.client    whole        noticed   nothing (no end)",
        "EnableSslCloseNotify=0  both  python strict  false alarm  noticed   nothing (no end)",
        "EnableSslCloseNotify=0  both  naive          whole        FOOLED    "
        '"Order 4711: pay Bob EUR 100"',
    ]
    assert lines[9].startswith("nginx                         naive")
    assert "\x1b" not in "".join(lines)
    assert not [line for line in lines if "2. A request" in line]  # it was not played


def test_modes_that_differ_are_two_lines() -> None:
    found = result()
    found.rows.append(row(ON, "python strict", "whole", "FOOLED", mode="user"))
    text = table.render(found, width=100, colour=False)
    (line,) = [line for line in text.splitlines() if "not as it should be" in line]
    assert line.split()[:4] == ["EnableSslCloseNotify=1", "user", "python", "strict"]
    told = table.verdict(found)
    assert "reply: kssl user mode, EnableSslCloseNotify=1, python strict" in told
    assert "Everything" not in told


def test_colour_is_all_that_colour_adds() -> None:
    coloured = table.render(result(), width=80, colour=True)
    assert "\x1b[31m" in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == table.render(result(), width=80, colour=False)


def test_the_last_lines() -> None:
    assert table.verdict(result()) == "Everything came out as the protocol says.\n"
    found = Result([], [], ["upstream: no start"], ["curl", "nginx"])
    assert table.verdict(found).splitlines() == [
        "could not be played: upstream: no start",
        "left out, not installed: curl, nginx",
    ]


def test_sentences_say_who_was_fooled() -> None:
    off, on, beside = sentences("reply", result().of("reply"))
    assert off.startswith(OFF)
    assert "refuses the honest reply too (python strict)" in off
    assert "is fooled (naive)" in off
    assert "(http.client and python strict)" in on
    assert "fooled all the same (naive)" in on
    assert beside.startswith("nginx")
    (passed,) = sentences("upstream", result().of("upstream"))
    assert passed.endswith("fooled: naive.")


def test_sentences_of_the_guard() -> None:
    (told,) = sentences("upstream", [row(GUARD, "naive", "whole", "noticed", scene="upstream")])
    assert told.endswith("who listens notices (naive).")
    rows = [row(GUARD, "python ssl", "whole", "FOOLED", scene="upstream")]
    assert sentences("upstream", rows)[0].endswith("even a reset for the end: python ssl.")


def test_sentences_of_another_proxy_say_what_was_seen() -> None:
    """Another version of it may do better, or worse."""
    other = {"proxy": "nginx", "mode": ""}
    (worse,) = sentences("reply", [row(OWN, "python strict", "false alarm", "noticed", **other)])
    assert worse.startswith("nginx: every reply ends with a bare FIN")
    (better,) = sentences(
        "upstream", [row(OWN, "naive", "whole", "noticed", scene="upstream", **other)]
    )
    assert better == (
        "nginx: the proxy passes the cut on as a cut, and who listens notices (naive)."
    )


def test_sentences_of_a_request() -> None:
    one = row(ON, "naive", "", f"{NOT_EXECUTED}, {FULL}", scene="request")
    assert "executed nothing" in sentences("request", [one])[0]
    assert "is not resumed" in sentences("request", [one])[0]
    bad = replace(one, honest=f"{EXECUTED}, {RESUMES}", attacked=f"{CUT_EXECUTED}, {RESUMES}")
    assert "EXECUTED A CUT REQUEST" in sentences("request", [bad])[0]
    assert "is resumed" in sentences("request", [bad])[0]


def test_json() -> None:
    told = json.loads(json.dumps(as_json.to_json(result())))
    assert set(told) == {"format", "scenes", "clients", "verdict"}
    assert [scene["name"] for scene in told["scenes"]] == ["reply", "request", "upstream"]
    assert told["verdict"] == {"ok": True, "differs": [], "failed": [], "left_out": []}
    assert [client["name"] for client in told["clients"]] == [
        "http.client", "python strict", "naive",
    ]  # fmt: skip
    reply = told["scenes"][0]
    assert len(reply["rows"]) == 13
    assert len(reply["closing"]) == 3
    assert reply["rows"][2] == {
        "proxy": "kssl",
        "mode": "user",
        "setting": OFF,
        "client": "naive",
        "honest": "whole",
        "attacked": "FOOLED",
        "believes": '"Order 4711: pay Bob EUR 100"',
        "honest_error": None,
        "judged": True,
        "as_expected": True,
        "wire": [
            {"records_to_server": [62, 24], "records_to_client": [79, 128, 42], "cut": None,
             "swallowed_bytes": 0},
            {"records_to_server": [62, 24], "records_to_client": [79, 128],
             "cut": {"record": 2, "byte": 128, "how": "FIN"}, "swallowed_bytes": 42},
        ],
    }  # fmt: skip
    assert told["scenes"][0]["rows"][-1]["mode"] is None
    assert told["scenes"][0]["rows"][-1]["judged"] is False


def test_pictures_off_and_on() -> None:
    off, on = pictures(result().rows)
    assert off.title == f"{OFF}, user mode, client: naive"
    assert on.title == f"{ON}, user mode, client: python strict"
    (forged,) = [at for at, step in enumerate(off.steps) if getattr(step, "kind", "") == "forged"]
    assert off.steps[forged] == Arrow("attacker", "client", "FIN, forged", "forged")
    believes = off.steps[forged + 1]
    assert isinstance(believes, Note)
    assert believes.bad
    swallowed = [step.text for step in on.steps if getattr(step, "kind", "") == "swallowed"]
    assert swallowed == ["record 3: 42 bytes", "record 4: 24 bytes (close_notify)", "FIN"]
    assert pictures([]) == []


def test_the_diagram() -> None:
    lines = diagram.render(pictures(result().rows)).splitlines()
    assert len(lines) == 2 * len(lines[: lines.index("", 3) + 1]) + 2  # the second has one more
    forged = next(line for line in lines if "━" in line)
    assert forged.index("◀") < forged.index("━")
    assert lines[lines.index(forged) - 1].split() == ["│", "FIN,", "forged", "│", "│", "│"]
    lost = [line for line in lines if "╌" in line]
    assert len(lost) == 2 + 3
    assert all(line.index("✗") < line.index("╌") for line in lost)
    heads = lines[2].split()
    assert heads == ["client", "attacker", "proxy", "app"]
    assert max(map(len, lines)) <= 102


def texts(drawing: str) -> list[str]:
    root = ElementTree.fromstring(drawing)  # noqa: S314
    return ["".join(found.itertext()) for found in root.iter(f"{SVG}text")]


def test_svg() -> None:
    drawing = svg.render(pictures(result().rows))
    root = ElementTree.fromstring(drawing)  # noqa: S314
    assert root.tag == f"{SVG}svg"
    assert drawing == svg.render(pictures(result().rows))
    shown = texts(drawing)
    assert "FIN, forged" in shown
    assert '✗ every reply ends with FIN alone: believes "Order 4711: pay Bob EUR 100"' in shown
    forged = [path for path in root.iter(f"{SVG}path") if path.get("class") == "arrow forged"]
    assert len(forged) == 2
    assert len([p for p in root.iter(f"{SVG}path") if p.get("class") == "cross"]) == 2 + 3
    assert "prefers-color-scheme: dark" in drawing


def test_nothing_dangerous_is_drawn_or_printed() -> None:
    picture = Picture(EVIL, (Arrow("client", "app", EVIL), Note("client", EVIL, bad=True)))
    drawing = svg.render([picture])
    assert "<script" not in drawing
    assert "\x1b" not in drawing
    assert len([text for text in texts(drawing) if '<script>alert("&")</script>' in text]) == 3
    assert "\x1b" not in diagram.render([picture])
    found = result()
    found.rows.append(row(ON, "naive", EVIL, EVIL, believes=EVIL))
    found.failed.append(EVIL)
    assert "\x1b" not in table.render(found, width=100, colour=False) + table.verdict(found)
