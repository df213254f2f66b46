"""A whole benchmark: starts everything, measures, ends everything."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import backend
from bench.errors import BenchError
from bench.load import choose_load
from bench.machine import package_version
from bench.pinning import Cores, choose_cores, pinned
from bench.probe import Probed, probe
from bench.proc import clock_name
from bench.rounds import Round, run_rounds
from bench.scenarios import Scenario
from bench.subjects import PEERS, Starter, Subject, Surroundings, kssl
from config.devca import DevelopmentCA

# Load average above which figures deserve a warning: others share caches and cores with us.
_BUSY = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure."""

    scenarios: Sequence[Scenario]
    modes: Sequence[str] = ("user", "kernel")
    peers: Sequence[str] = ("nginx",)
    rounds: int = 5
    seconds: int = 3
    arguments: Sequence[str] = ()


@dataclass(slots=True)
class Outcome:
    """What came out."""

    number: int
    seconds: int
    scenarios: Sequence[Scenario]
    cores: Cores
    load: str
    backend: str
    backend_config: str | None
    clock: str
    subjects: list[Subject]
    probed: dict[str, Probed]
    rounds: list[Round] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run(plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Raises BenchError. ``say`` is told what happens meanwhile."""
    starters, notes = _starters(plan)
    busy = os.getloadavg()[0]
    if busy > _BUSY:
        notes.append(f"the machine was busy at the start (load average {busy:.1f})")
    for note in notes:
        say(note)
    cores = choose_cores()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kssl-bench-")))
        ca = DevelopmentCA.open_or_create(folder / "ca")
        certificate, key = ca.ensure_leaf()
        with pinned(cores.load):
            behind = stack.enter_context(backend.running(folder, plan.scenarios))
        around = Surroundings(folder, behind.port, certificate, key)
        subjects = []
        for start in starters:
            with pinned(cores.proxy):
                subjects.append(stack.enter_context(start(around)))
        load = choose_load(str(ca.ca_path))
        outcome = Outcome(
            plan.rounds, plan.seconds, plan.scenarios, cores, f"{load.name} {load.version}",
            behind.kind, behind.config, clock_name(), subjects, {}, notes=notes,
        )  # fmt: skip
        _probe(outcome, behind, str(ca.ca_path))
        outcome.rounds += run_rounds(
            subjects, plan.scenarios, behind.path, load,
            rounds=plan.rounds, seconds=plan.seconds, core=cores.load,
            on_round=lambda one: say(
                f"{one.scenario} {one.number + 1}/{plan.rounds} {one.subject}: "
                f"{one.total:,.1f} µs/req, {one.rate:,.0f} req/s"
            ),
        )  # fmt: skip
    return outcome


def _starters(plan: Plan) -> tuple[list[Starter], list[str]]:
    version = package_version("kssl") or "?"
    starters = [kssl(mode, version, plan.arguments) for mode in plan.modes]
    notes = []
    for name in plan.peers:
        if name not in PEERS:
            raise BenchError(f"no peer {name!r}; there are {', '.join(PEERS)}")
        if (reason := PEERS[name].missing()) is not None:
            notes.append(f"without {name}: {reason}")
        else:
            starters.append(PEERS[name].start)
    if not starters:
        raise BenchError("nothing to measure")
    return starters, notes


def _probe(outcome: Outcome, behind: backend.Backend, ca: str) -> None:
    """Every reply once, by every subject: numbers of wrong replies would be lies."""
    for subject in outcome.subjects:
        for scenario in outcome.scenarios:
            found = probe(subject.port, behind.path(scenario), scenario, ca)
            outcome.probed[subject.name] = found
    ciphers = {subject: f"{one.tls} {one.cipher}" for subject, one in outcome.probed.items()}
    if len(set(ciphers.values())) > 1:
        told = ", ".join(f"{subject} {cipher}" for subject, cipher in ciphers.items())
        raise BenchError(f"not the same cipher everywhere: {told}")
