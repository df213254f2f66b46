"""The report's JSON (schema "kssl-bench/1") with types.

Nothing here raises for what is null, missing or of another type than expected: it becomes None
or empty, and the page leaves it out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

# The report's verdict where it gives none.
NO_DIFFERENCE = "no difference shown"


@dataclass(frozen=True, slots=True)
class Spread:
    """A median over the rounds, and the lowest and highest."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Split:
    """CPU time in µs per unit. The system's share is None where only the sum is known."""

    user: float
    system: float | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What was measured."""

    name: str
    kind: str = "peer"
    mode: str | None = None
    hops: int | None = None
    told: dict[str, Any] = field(default_factory=dict)

    @property
    def ours(self) -> bool:
        return self.kind == "kssl"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What was asked for."""

    name: str
    label: str
    kind: str | None = None
    unit: str = "request"
    size: float | None = None
    connections: float | None = None


@dataclass(frozen=True, slots=True)
class Idle:
    """Connections that do nothing. Latencies in µs."""

    kib_per_connection: float | None
    connections: float | None
    p99_before: float | None
    p99_with: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """One subject in one scenario. Times are µs, CPU times µs per unit, sizes bytes."""

    scenario: str
    subject: str
    per_s: Spread | None
    mb_per_s: Spread | None
    percentiles: dict[float, float]
    p50: Spread | None
    p99: Spread | None
    cpu: Spread | None
    cpu_split: Split | None
    by_process: dict[str, Split]
    frames: float | None
    sends: float | None
    crossed_bytes: float | None
    copied_bytes: float | None
    system_calls: float | None
    peak_memory_kib: float | None
    idle: Idle | None


@dataclass(frozen=True, slots=True)
class Ratio:
    """CPU time per unit of one subject as a multiple of that of another, with a 95 % interval."""

    scenario: str
    above: str
    below: str
    median: float
    low: float | None
    high: float | None
    said: str | None

    @property
    def excludes_1(self) -> bool:
        """Said of the interval. False also where there is none."""
        return self.low is not None and self.high is not None and (self.low > 1 or self.high < 1)

    @property
    def differs(self) -> bool:
        """A difference is shown: the interval excludes 1, and the report does not object.

        It does where there were too few rounds for intervals that can be trusted.
        """
        return self.excludes_1 and self.said != NO_DIFFERENCE

    @property
    def verdict(self) -> str:
        """The report's own words, or the same computed."""
        if self.said:
            return self.said
        if not self.differs:
            return NO_DIFFERENCE
        return f"{self.above} costs {'more' if self.median > 1 else 'less'}"


@dataclass(frozen=True, slots=True)
class Report:
    """The whole. ``told`` is the JSON, for what is shown as it is."""

    subjects: Sequence[Subject]
    scenarios: Sequence[Scenario]
    results: dict[tuple[str, str], Result]
    ratios: Sequence[Ratio]
    told: dict[str, Any]

    def of(self, scenario: Scenario) -> Iterator[tuple[Subject, Result]]:
        """Subjects with a result there, in the order of the run."""
        for subject in self.subjects:
            if (result := self.results.get((scenario.name, subject.name))) is not None:
                yield subject, result

    def subject(self, name: str) -> Subject:
        return next(one for one in self.subjects if one.name == name)

    def scenario(self, name: str) -> Scenario:
        return next(one for one in self.scenarios if one.name == name)

    def ours(self, mode: str, hops: int = 1) -> Subject | None:
        """The subject of kssl in this mode."""
        for one in self.subjects:
            if one.ours and one.mode == mode and (one.hops or 1) == hops:
                return one
        return None


def parse(told: dict[str, Any]) -> Report:
    """Of the JSON as `json.load` gives it."""
    results = [_result(one) for one in dicts(told.get("results"))]
    ratios = [one for one in map(_ratio, dicts(told.get("ratios"))) if one is not None]
    subjects = {one.name: one for one in map(_subject, dicts(told.get("subjects")))}
    scenarios = {one.name: one for one in map(_scenario, dicts(told.get("scenarios")))}
    for result in results:
        subjects.setdefault(result.subject, Subject(result.subject))
        scenarios.setdefault(result.scenario, Scenario(result.scenario, result.scenario))
    for ratio in ratios:
        subjects.setdefault(ratio.above, Subject(ratio.above))
        subjects.setdefault(ratio.below, Subject(ratio.below))
        scenarios.setdefault(ratio.scenario, Scenario(ratio.scenario, ratio.scenario))
    return Report(
        subjects=list(subjects.values()),
        scenarios=list(scenarios.values()),
        results={(one.scenario, one.subject): one for one in results},
        ratios=ratios,
        told=told,
    )


def _subject(told: dict[str, Any]) -> Subject:
    name, hops = _name(told.get("name")), figure(told.get("hops"))
    return Subject(
        name,
        kind=string(told.get("kind")) or "peer",
        mode=string(told.get("mode")),
        hops=None if hops is None else int(hops),
        told=told,
    )


def _scenario(told: dict[str, Any]) -> Scenario:
    name = _name(told.get("name"))
    return Scenario(
        name,
        label=string(told.get("label")) or name,
        kind=string(told.get("kind")),
        unit=string(told.get("unit")) or "request",
        size=figure(told.get("size")),
        connections=figure(told.get("connections")),
    )


def _result(told: dict[str, Any]) -> Result:
    latency, cpu = dict_of(told.get("latency_us")), dict_of(told.get("cpu_us"))
    crossings = dict_of(told.get("crossings"))
    by_process = {
        _name(name): split
        for name, value in dict_of(cpu.get("by_process")).items()
        if (split := _split(dict_of(value))) is not None
    }
    return Result(
        scenario=_name(told.get("scenario")),
        subject=_name(told.get("subject")),
        per_s=_spread(told.get("per_s")),
        mb_per_s=_spread(told.get("mb_per_s")),
        percentiles=_percentiles(latency),
        p50=_spread(latency.get("p50")),
        p99=_spread(latency.get("p99")),
        cpu=_spread(cpu),
        cpu_split=_split(cpu),
        by_process=by_process,
        frames=figure(crossings.get("frames")),
        sends=figure(crossings.get("sends")),
        crossed_bytes=figure(crossings.get("bytes")),
        copied_bytes=figure(told.get("copied_bytes")),
        system_calls=figure(told.get("system_calls")),
        peak_memory_kib=figure(told.get("peak_memory_kib")),
        idle=_idle(dict_of(told.get("idle"))),
    )


def _percentiles(latency: dict[str, Any]) -> dict[float, float]:
    """µs by percentile; p50 and p99 are the medians over the rounds where these are told."""
    found: dict[float, float] = {}
    for pair in list_of(latency.get("percentiles")):
        if isinstance(pair, list | tuple) and len(pair) == 2:
            which, value = figure(pair[0]), figure(pair[1])
            if which is not None and value is not None:
                found[which] = value
    for which, name in ((50.0, "p50"), (99.0, "p99")):
        if (spread := _spread(latency.get(name))) is not None:
            found[which] = spread.median
    return dict(sorted(found.items()))


def _idle(told: dict[str, Any]) -> Idle | None:
    if not told:
        return None
    return Idle(
        kib_per_connection=figure(told.get("kib_per_connection")),
        connections=figure(told.get("connections")),
        p99_before=figure(told.get("p99_us_before")),
        p99_with=figure(told.get("p99_us_with")),
    )


def _ratio(told: dict[str, Any]) -> Ratio | None:
    median = figure(told.get("median"))
    if median is None or median <= 0:
        return None
    low, high = figure(told.get("low")), figure(told.get("high"))
    return Ratio(
        scenario=_name(told.get("scenario")),
        above=_name(told.get("above")),
        below=_name(told.get("below")),
        median=median,
        low=None if low is None else min(low, median),
        high=None if high is None else max(high, median),
        said=string(told.get("verdict")),
    )


def _spread(told: object) -> Spread | None:
    values = dict_of(told)
    median = figure(values.get("median"))
    if median is None:
        return None
    low, high = figure(values.get("low")), figure(values.get("high"))
    return Spread(
        median,
        median if low is None else min(low, median),
        median if high is None else max(high, median),
    )


def _split(told: dict[str, Any]) -> Split | None:
    user, system = figure(told.get("user")), figure(told.get("system"))
    if user is None:
        return None
    return Split(user, system)


def figure(value: object) -> float | None:
    """A number that is one: not null, not NaN, not infinite, not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # False for NaN too, and for an integer that no float holds.
    return float(value) if 0 <= value <= sys.float_info.max else None


def string(value: object) -> str | None:
    """Text that is not empty."""
    return value if isinstance(value, str) and value else None


def dict_of(value: object) -> dict[str, Any]:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """A list, or an empty one."""
    return value if isinstance(value, list) else []


def dicts(value: object) -> list[dict[str, Any]]:
    """The objects in a list."""
    return [one for one in list_of(value) if isinstance(one, dict)]


def _name(value: object) -> str:
    return string(value) or "?"
