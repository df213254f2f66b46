"""A whole benchmark: starts everything, measures, ends everything."""

from __future__ import annotations

import contextlib
import os
import shlex
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from kssl.bench import estimate
from kssl.bench.errors import BenchError
from kssl.bench.load import choose
from kssl.bench.load.choose import Loads
from kssl.bench.load.job import Load
from kssl.bench.measure import counting
from kssl.bench.measure.counting import Counts
from kssl.bench.measure.idle import measure_idle, possible
from kssl.bench.measure.pace import choose_rate, held
from kssl.bench.measure.rounds import Bench, Meter, Round, run_rounds
from kssl.bench.outcome import LoadUsed, Outcome, Plan
from kssl.bench.pinning import choose_cores, pinned
from kssl.bench.proc import clock_name
from kssl.bench.progress import Progress
from kssl.bench.report.stats import ENOUGH_ROUNDS
from kssl.bench.scenarios import IDLE_CONNECTIONS, Scenario, by_name
from kssl.bench.stage import Stage, starters
from kssl.bench.subjects import Subject
from kssl.config.devca import DevelopmentCA

# Load average above which figures deserve a warning: others share caches and cores with us.
_BUSY = 0.5

_COUNTED_SECONDS = 1.0


def run(plan: Plan, say: Callable[[str], None], progress: Callable[[float], Progress]) -> Outcome:
    """Raises BenchError. ``say`` gets lines for people, ``progress`` the estimate in seconds."""
    began = time.monotonic()
    starting, notes = starters(plan)
    busy = os.getloadavg()[0]
    if busy > _BUSY:
        notes.append(f"the machine was busy at the start (load average {busy:.1f})")
    loads = choose.find()
    scenarios = _measurable(plan, loads, notes)
    estimated = estimate.total(plan, scenarios, len(starting))
    say(estimate.in_words(plan, scenarios, len(starting), estimated))
    cores = choose_cores()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kssl-bench-")))
        ca = DevelopmentCA.open_or_create(folder / "ca")
        stage = stack.enter_context(Stage.ready(folder, ca, cores, starting, scenarios, plan.venv))
        outcome = Outcome(
            plan=plan, when=datetime.now(UTC), cores=cores, backend=stage.web, clock=clock_name(),
            subjects=stage.subjects, notes=notes,
        )  # fmt: skip
        bench = Bench(str(ca.ca_path), folder, plan.seconds, cores.load)
        shown = progress(estimated)
        try:
            _Run(stage, loads, outcome, bench, shown).everything(scenarios)
        finally:
            shown.clear()
    outcome.taken_seconds = time.monotonic() - began
    return outcome


def _measurable(plan: Plan, loads: Loads, notes: list[str]) -> list[Scenario]:
    """What was asked for; by default without what takes a tool that is missing."""
    for name, found in (("wrk", loads.wrk), ("h2load", loads.h2load)):
        if found is None:
            package = "wrk" if name == "wrk" else "nghttp2-client"
            notes.append(f"without {name}: not installed (Debian: apt install {package})")
    if plan.scenarios:
        return list(plan.scenarios)
    every = list(by_name().values())
    if loads.wrk is not None and loads.h2load is not None:
        return every
    notes.append("without latency and idle, which need the tools; name them to have our own client")
    return [scenario for scenario in every if scenario.kind not in ("latency", "idle")]


class _Run:
    """A benchmark that goes on."""

    def __init__(
        self, stage: Stage, loads: Loads, outcome: Outcome, bench: Bench, progress: Progress
    ) -> None:
        self._stage = stage
        self._loads = loads
        self._outcome = outcome
        self._bench = bench
        self._progress = progress

    def everything(self, scenarios: list[Scenario]) -> None:
        self._look_at_ciphers()
        for asked in scenarios:
            scenario = self._paced(asked) if asked.kind == "latency" else asked
            self._outcome.scenarios.append(scenario)
            if scenario.kind == "idle":
                self._idle(scenario)
            else:
                self._rounds(scenario)
        self._count()
        if self._outcome.plan.rounds < ENOUGH_ROUNDS:
            self._outcome.note(
                f"fewer than {ENOUGH_ROUNDS} rounds: intervals are too narrow for a verdict"
            )

    def _rounds(self, scenario: Scenario) -> None:
        going = []
        for subject in self._stage.for_scenario(scenario):
            try:
                self._stage.probe(subject, scenario)
                going.append(subject)
            except BenchError as error:
                self._failed(scenario, subject, error)
        run_rounds(
            self._bench, going, scenario, self._stage.backend(scenario), self._load(scenario),
            rounds=self._outcome.plan.rounds, on_round=self._keep, on_failure=self._failed,
        )  # fmt: skip
        if scenario.rate is not None:
            for subject in going:
                self._look_at_rate(scenario, subject)

    def _load(self, scenario: Scenario) -> Load:
        load = self._loads.for_scenario(scenario)
        if load.name not in [used.name for used in self._outcome.loads]:
            job = self._bench.job(
                self._outcome.subjects[0], scenario, self._stage.backend(scenario)
            )
            command = shlex.join(load.command(job))
            self._outcome.loads.append(LoadUsed(load.name, load.version, command))
        return load

    def _keep(self, one: Round, meter: Meter) -> None:
        self._outcome.rounds.append(one)
        if meter.peaks_are_whole_lives:
            self._outcome.note(
                f"peak memory of {one.subject} is that of its whole life: only root may reset it"
            )
        self._progress.step(
            estimate.one_round(self._outcome.plan),
            f"{one.scenario} {one.number + 1}/{self._outcome.plan.rounds}  {one.subject}  "
            f"{one.cpu_us:,.1f} µs  {one.rate:,.0f}/s",
        )

    def _failed(self, scenario: Scenario, subject: Subject, error: BenchError) -> None:
        """A peer that cannot do it is left out, and says so. Raises BenchError for ourselves."""
        if subject.kind == "kssl":
            raise BenchError(f"{subject.name} in {scenario.name}: {error}") from error
        self._outcome.note(f"without {subject.name} in {scenario.name}: {error}")
        self._outcome.rounds = [
            one for one in self._outcome.rounds
            if (one.scenario, one.subject) != (scenario.name, subject.name)
        ]  # fmt: skip

    def _look_at_ciphers(self) -> None:
        """The same cipher for all, or the work is not the same: a peer that cannot is noted."""
        tiny = by_name()["tiny"]
        standard = None
        for subject in self._outcome.subjects:
            try:
                probed = self._stage.probe(subject, tiny)
            except BenchError as error:
                self._failed(tiny, subject, error)
                continue
            self._outcome.probed[subject.name] = probed
            if subject.scheme != "https":
                continue
            standard = standard or probed
            if probed != standard:
                told = f"{subject.name} has {probed.tls} {probed.cipher}, not {standard.cipher}"
                if subject.kind == "kssl":
                    raise BenchError(f"not the same cipher everywhere: {told}")
                self._outcome.note(f"not quite equal work: {told}")

    def _paced(self, scenario: Scenario) -> Scenario:
        tiny = by_name()["tiny"]

        def try_out(subject: Subject) -> Round:
            job = self._bench.job(subject, tiny, self._stage.web)
            return self._bench.measure(subject, self._load(tiny), job, 0)[0]

        rate, basis = choose_rate(self._outcome.subjects, self._outcome.rounds, try_out)
        self._outcome.note(f"{scenario.name} at {rate:,} requests/s: half of {basis} in this run")
        label = f"12 B at {rate:,} requests/s, {scenario.connections} connections"
        return replace(scenario, rate=rate, label=label)

    def _look_at_rate(self, scenario: Scenario, subject: Subject) -> None:
        assert scenario.rate is not None
        found = self._outcome.rounds_of(scenario, subject)
        if found and not held(scenario.rate, found):
            self._outcome.without_latency.add((scenario.name, subject.name))
            self._outcome.note(
                f"no latency of {subject.name} in {scenario.name}: it did not keep up with "
                f"{scenario.rate:,} requests/s (least {min(one.rate for one in found):,.0f})"
            )

    def _idle(self, scenario: Scenario) -> None:
        connections = possible(IDLE_CONNECTIONS)
        if connections < IDLE_CONNECTIONS:
            self._outcome.note(
                f"{connections:,} idle connections instead of {IDLE_CONNECTIONS:,}: "
                "the limit of open files allows no more (ulimit -Hn)"
            )
        for subject in self._stage.for_scenario(scenario):
            try:
                with self._stage.afresh(subject) as fresh:
                    found = measure_idle(
                        self._bench, fresh, scenario, self._stage.web, self._load(scenario),
                        self._loads.own, connections,
                    )  # fmt: skip
            except BenchError as error:
                self._failed(scenario, subject, error)
            else:
                self._outcome.idle[scenario.name, subject.name] = found
                self._keep(found.round, found.meter)
                self._look_at_rate(scenario, subject)
            self._progress.step(estimate.idle(self._outcome.plan), f"idle  {subject.name}")

    def _count(self) -> None:
        ours = [subject for subject in self._outcome.subjects if subject.kind == "kssl"]
        if ours and (reason := counting.missing()) is not None:
            self._outcome.note(reason)
            return
        for subject in ours:
            for scenario in self._outcome.scenarios:
                if scenario.kind == "idle":
                    continue
                try:
                    counts = self._counts(subject, scenario)
                except BenchError as error:
                    # The rounds are done and good; they should not be lost for this.
                    self._outcome.note(f"{subject.name} in {scenario.name} not counted: {error}")
                else:
                    self._outcome.counts[scenario.name, subject.name] = counts
                self._progress.step(estimate.COUNTED, f"counting  {scenario.name}  {subject.name}")

    def _counts(self, subject: Subject, scenario: Scenario) -> Counts:
        with self._stage.counted(subject, scenario) as proxy:
            asked = replace(subject, port=proxy.port)
            job = self._bench.job(asked, scenario, self._stage.backend(scenario))
            with pinned(self._bench.core):
                result = self._load(scenario).run(
                    replace(job, seconds=_COUNTED_SECONDS), proxy.begin, proxy.end
                )
            return proxy.per_unit(result.units)
