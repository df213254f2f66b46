"""What the figures say, in sentences that are made from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kssl.bench.html.figures import interval, micros, times
from kssl.bench.html.model import NO_DIFFERENCE, Ratio, Report, Subject

_MAIN = "tiny"
_REFERENCE = "nginx"


@dataclass(frozen=True, slots=True)
class Claim:
    """A large figure, and the sentence that goes on from it. ``shown``: it is a difference."""

    figure: str
    scenario: str
    sentence: str
    interval: str
    shown: bool


def claims(report: Report) -> list[Claim]:
    """User mode against kernel mode, and kernel mode against nginx; at most four."""
    user, kernel = report.ours("user"), report.ours("kernel")
    if kernel is None:
        return []
    found: list[Ratio] = []
    if user is not None:
        found += _telling(_between(report, user.name, kernel.name))
    found += _telling(_between(report, kernel.name, _REFERENCE))
    return [_claim(report, ratio) for ratio in found]


def totals(report: Report) -> list[str]:
    """Over all scenarios, so that the claims above cannot be the best ones picked out."""
    user, kernel = report.ours("user"), report.ours("kernel")
    if kernel is None:
        return []
    pairs = [(kernel.name, _REFERENCE)]
    if user is not None:
        pairs.insert(0, (user.name, kernel.name))
    counted = [(above, below, _between(report, above, below)) for above, below in pairs]
    return [_total(report, *one) for one in counted if len(one[2]) > 1]


def _between(report: Report, above: str, below: str) -> list[Ratio]:
    return [one for one in report.ratios if one.above == above and one.below == below]


def _telling(ratios: Sequence[Ratio]) -> list[Ratio]:
    """That of the main scenario (or the first), and that which is furthest from it."""
    if not ratios:
        return []
    main = next((one for one in ratios if one.scenario == _MAIN), ratios[0])
    far = max(ratios, key=lambda one: max(one.median / main.median, main.median / one.median))
    return [main] if far is main else [main, far]


def _claim(report: Report, ratio: Ratio) -> Claim:
    scenario = report.scenario(ratio.scenario)
    above, below = _in_words(report, ratio.above), _in_words(report, ratio.below)
    if ratio.differs:
        says = f"as much CPU time for {above} as for {below}"
    elif ratio.excludes_1:
        says = f"no verdict on {above} and {below}, from too few rounds"
    else:
        says = f"{NO_DIFFERENCE} between {above} and {below}"
    return Claim(
        figure=f"{times(ratio.median)} \N{MULTIPLICATION SIGN}",
        scenario=scenario.label,
        sentence=f"{says}{_costs(report, ratio, scenario.unit)}.",
        interval=f"95 % interval {interval(ratio.low, ratio.high)}",
        shown=ratio.differs,
    )


def _costs(report: Report, ratio: Ratio, unit: str) -> str:
    found = [report.results.get((ratio.scenario, name)) for name in (ratio.above, ratio.below)]
    spreads = [one.cpu for one in found if one is not None and one.cpu is not None]
    if len(spreads) < 2:
        return ""
    return f": {micros(spreads[0].median)} against {micros(spreads[1].median)} per {unit}"


def _in_words(report: Report, name: str) -> str:
    subject = report.subject(name)
    return f"{subject.mode} mode" if _plain_mode(subject) else name


def _plain_mode(subject: Subject) -> bool:
    return subject.ours and subject.mode in ("user", "kernel") and (subject.hops or 1) == 1


def _total(report: Report, above: str, below: str, ratios: Sequence[Ratio]) -> str:
    more = sum(one.differs and one.median > 1 for one in ratios)
    less = sum(one.differs and one.median < 1 for one in ratios)
    least = min(ratios, key=lambda one: one.median)
    most = max(ratios, key=lambda one: one.median)
    undecided = sum(one.excludes_1 and not one.differs for one in ratios)
    none = len(ratios) - more - less - undecided
    first, second = _in_words(report, above), _in_words(report, below)
    counts = (
        ("more", more), ("less", less), (NO_DIFFERENCE, none), ("no verdict", undecided),
    )  # fmt: skip
    verdicts = "; ".join(f"{said} in {count}" for said, count in counts if count)
    return (
        f"The CPU time of {first} compared with {second}, over all {len(ratios)} scenarios: "
        f"{verdicts}. The ratios lie between {times(least.median)} "
        f"({report.scenario(least.scenario).label}) and {times(most.median)} "
        f"({report.scenario(most.scenario).label})."
    )
