"""The page: one file, no script, nothing from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kssl.bench.html import headline, setup, tables
from kssl.bench.html.look import legend, subject_key
from kssl.bench.html.markup import NOTHING, Markup, element, escape, join
from kssl.bench.html.model import Report, dict_of, figure, parse, string
from kssl.bench.html.plots import bodies, connections, cpu, idle, latency, ratios
from kssl.bench.html.plots.panel import Panel, panels

_HERE = Path(__file__).parent
# Of the panels with ratios, which is a row of them on a large screen.
_SHOWN = 3

_STYLES = ("palette.css", "plot.css", "style.css")

_CPU_TIME = (
    "CPU time per request is what all processes of a proxy together spent on a processor, divided "
    "by the requests that were answered in full. Unlike requests per second it hardly depends on "
    "how fast the client and the app are, so it is what the proxies are compared by. Where a "
    "scenario counts messages or connections, it is the time for each of these."
)
_VERDICTS = (
    "The proxies took turns, so that a slow minute of the machine hit all of them. A ratio is "
    "taken within each round and comes with a 95\N{NO-BREAK SPACE}% interval. A difference is "
    "called one only where this interval excludes 1 and there were rounds enough to trust it; "
    "elsewhere its mark is hollow."
)
_SPREAD = (
    "Figures are medians over the rounds; the thin line over the end of a bar reaches from the "
    "lowest to the highest round, a dotted line is nginx. A bar with a gap is cut: it would be "
    "longer than the panel. Point at a mark for its figures; the tables hold the same."
)
_NOT_ENOUGH = (
    "This run has no ratio of kssl’s modes to each other or to nginx, so it "  # noqa: RUF001
    "has no headline."
)


@dataclass(frozen=True, slots=True)
class _Section:
    anchor: str
    heading: str
    intro: str
    body: Markup


def render(report: dict[str, Any]) -> str:
    """The report (schema "kssl-bench/1") as a page. Never raises for what is null or missing."""
    told = parse(report)
    style = "".join((_HERE / name).read_text(encoding="utf-8") for name in _STYLES)
    sections = [one for one in _sections(told) if one.body]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{policy(style)}">'),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", escape("kssl bench")),
        # A style sheet of ours, in which nothing of the report is.
        element("style", Markup(style)),
    )
    body = element(
        "body",
        _header(told),
        element(
            "main",
            _headline(told),
            _how_to_read(),
            _contents(sections),
            *map(_section, sections),
        ),
    )
    page = element("html", head, Markup("\n"), body, lang="en")
    return f"<!doctype html>\n{page}\n"


def policy(style: str) -> str:
    """The Content-Security-Policy: this very style sheet, and nothing else at all."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _header(report: Report) -> Markup:
    machine = dict_of(report.told.get("machine"))
    rounds, seconds = figure(report.told.get("rounds")), figure(report.told.get("seconds"))
    facts = [
        string(report.told.get("when")),
        string(machine.get("cpu")),
        f"{rounds:g} rounds of {seconds:g} s" if rounds and seconds else None,
    ]
    said = [element("span", escape(fact)) for fact in facts if fact]
    return element(
        "header",
        element("h1", escape("kssl bench")),
        element("p", *said, class_="facts-line") if said else NOTHING,
    )


def _headline(report: Report) -> Markup:
    claims = headline.claims(report)
    if not claims:
        return element("p", escape(_NOT_ENOUGH), class_="intro")
    tiles = [
        element(
            "li",
            element("b", escape(claim.figure), class_=None if claim.shown else "unshown"),
            element("strong", escape(claim.scenario)),
            element("p", escape(claim.sentence)),
            element("small", escape(claim.interval)),
        )
        for claim in claims
    ]
    totals = [element("p", escape(said), class_="intro") for said in headline.totals(report)]
    return element(
        "section", element("ul", *tiles, class_="claims"), *totals, aria_label="Headline"
    )


def _how_to_read() -> Markup:
    said = [element("p", escape(one)) for one in (_CPU_TIME, _VERDICTS, _SPREAD)]
    heading = element("h2", escape("How to read this"))
    return element("section", heading, element("div", *said, class_="how"))


def _contents(sections: Sequence[_Section]) -> Markup:
    links = [
        element("li", element("a", escape(one.heading), href=f"#{one.anchor}")) for one in sections
    ]
    return element("nav", element("ul", *links), aria_label="Contents") if links else NOTHING


def _section(section: _Section) -> Markup:
    intro = element("p", escape(section.intro), class_="intro") if section.intro else NOTHING
    heading = element("h2", escape(section.heading))
    return element("section", heading, intro, section.body, id=section.anchor)


def _sections(report: Report) -> list[_Section]:
    return [
        _Section(
            "ratios",
            "Against the others",
            "How many times the CPU time of another proxy kssl takes, with the 95 % interval. The "
            "scale is logarithmic: twice as much is as far from 1 as half as much.",
            _with_legend(_ours_key(report), _folded(ratios.panels(report))),
        ),
        _Section(
            "cpu",
            "CPU time per request",
            "Blue is the front end, orange the crypto worker, grey another proxy with all its "
            "processes; the stronger shade is user time, the fainter one system time.",
            _with_legend(legend(cpu.keys(report)), panels(cpu.panels(report))),
        ),
        _Section(
            "latency",
            "Latency",
            "As the load saw it, from the median to the slowest in a thousand.",
            _with_legend(legend(latency.keys()), panels(latency.panels(report))),
        ),
        _Section(
            "connections",
            "Over the number of connections",
            "The same small request over more and more connections.",
            panels(connections.panels(report)),
        ),
        _Section(
            "bodies",
            "Large bodies",
            "Bytes of bodies per second, in millions.",
            panels(bodies.panels(report)),
        ),
        _Section(
            "idle",
            "Idle connections",
            "Connections that are open and say nothing.",
            _with_legend(legend(idle.keys()), panels(idle.panels(report))),
        ),
        _Section("crossings", "Crossings and copies", _CROSSINGS, tables.crossings(report)),
        _Section("subjects", "What was measured", "", setup.subjects(report)),
        _Section("machine", "Machine and run", "", _setup(report)),
        _Section("notes", "Notes", "", setup.notes(report)),
        # Last: the longest by far.
        _Section("tables", "Tables", "", _tables(report)),
    ]


_CROSSINGS = (
    "Counted apart from the timed rounds, in kssl alone: what goes between the front end and the "
    "crypto worker, and what all its processes hand to the system and get from it."
)


def _with_legend(keys: Markup, drawn: Markup) -> Markup:
    return join(keys, drawn) if drawn else NOTHING


def _folded(drawn: Sequence[Panel]) -> Markup:
    """The first panels, and the others below something to click on: they would fill screens."""
    shown, more = drawn[:_SHOWN], drawn[_SHOWN:]
    if not more:
        return panels(shown)
    return join(panels(shown), tables.folded(f"The same against {len(more)} more", panels(more)))


def _ours_key(report: Report) -> Markup:
    above = {ratio.above for ratio in report.ratios}
    return legend(subject_key(one) for one in report.subjects if one.name in above)


def _tables(report: Report) -> Markup:
    return join(
        tables.folded("Results", tables.results(report), shown=True),
        tables.folded("Ratios", tables.ratios(report)),
        tables.folded("Latency", tables.latencies(report)),
        tables.folded("Processes", tables.processes(report)),
        tables.folded("Idle connections", tables.idle(report)),
    )


def _setup(report: Report) -> Markup:
    both = join(setup.machine(report), setup.run(report))
    return element("div", both, class_="setup") if both else NOTHING
