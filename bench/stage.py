"""What runs while a benchmark lasts: the backends, and the subjects in front of them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from kssl.bench import backend
from kssl.bench.backend import Backend
from kssl.bench.errors import BenchError
from kssl.bench.machine import package_version
from kssl.bench.measure.counting import Counted, counted
from kssl.bench.outcome import Plan
from kssl.bench.pinning import Cores, pinned
from kssl.bench.probe import Probed, probe
from kssl.bench.scenarios import Scenario, by_name
from kssl.bench.subjects import PEERS, Starter, Subject, Surroundings, can_hop_twice, kssl
from kssl.config.devca import DevelopmentCA

FLOOR = "nginx-plain"


def starters(plan: Plan) -> tuple[list[Starter], list[str]]:
    """What to start, and notes on what is missing. Raises BenchError."""
    version = package_version("kssl") or "?"
    starting = [kssl(mode, version, plan.arguments) for mode in plan.modes]
    notes = []
    if plan.hops and can_hop_twice():
        starting.insert(1, kssl("user", version, plan.arguments, hops=2))
    elif plan.hops:
        notes.append("without kssl user 2 hops: this kssl has no UserModeHops")
    for name in [*plan.peers, *([FLOOR] if plan.floor else [])]:
        if name not in PEERS:
            raise BenchError(f"no peer {name!r}; there are {', '.join(PEERS)}")
        if (reason := PEERS[name].missing(plan.venv)) is not None:
            notes.append(f"without {name}: {reason}")
        else:
            starting.append(PEERS[name].start)
    if not starting:
        raise BenchError("nothing to measure: no mode of kssl and no peer that is installed")
    return starting, notes


def installed_peers(venv: Path | None) -> list[str]:
    """All that can run here, without the floor, which is no peer."""
    return [name for name, peer in PEERS.items() if name != FLOOR and peer.missing(venv) is None]


@dataclass(slots=True)
class Stage:
    """Everything that runs. A subject serves one backend, so it runs once for each."""

    web: Backend
    subjects: list[Subject]
    _around: Surroundings
    _cores: Cores
    _ca: str
    _starting: Mapping[str, Starter]
    _echo: Backend | None = None
    _in_front_of_echo: list[Subject] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @classmethod
    @contextlib.contextmanager
    def ready(
        cls, folder: Path, ca: DevelopmentCA, cores: Cores, starting: Sequence[Starter],
        scenarios: Sequence[Scenario], venv: Path | None,
    ) -> Iterator[Stage]:  # fmt: skip
        """Starts what the scenarios need, and ends it all. Raises BenchError."""
        certificate, key = ca.ensure_leaf()
        with contextlib.ExitStack() as stack:
            with pinned(cores.backend):
                web = stack.enter_context(backend.running(folder, [*scenarios, by_name()["tiny"]]))
            around = Surroundings(folder / "web", web.port, certificate, key, venv)
            subjects = _start(stack, starting, around, cores)
            starter_of = {
                subject.name: start for subject, start in zip(subjects, starting, strict=True)
            }
            stage = cls(web, subjects, around, cores, str(ca.ca_path), starter_of)
            if any(scenario.kind == "websocket" for scenario in scenarios):
                with pinned(cores.backend):
                    stage._echo = stack.enter_context(backend.echoing())
                around = replace(around, folder=folder / "echo", upstream=stage._echo.port)
                stage._in_front_of_echo = _start(stack, starting, around, cores)
            yield stage

    def backend(self, scenario: Scenario) -> Backend:
        if scenario.kind == "websocket":
            assert self._echo is not None
            return self._echo
        return self.web

    def for_scenario(self, scenario: Scenario) -> list[Subject]:
        """Those that can do it, in front of its backend: without TLS there are no handshakes."""
        running = self._in_front_of_echo if scenario.kind == "websocket" else self.subjects
        return [
            subject for subject in running
            if subject.scheme == "https" or scenario.kind != "handshake"
        ]  # fmt: skip

    def probe(self, subject: Subject, scenario: Scenario) -> Probed:
        """Raises BenchError unless it answers right. A WebSocket's client looks itself."""
        if scenario.kind == "websocket":
            return Probed(None, None)
        return probe(subject, self.web.path(scenario), scenario, self._ca)

    @contextlib.contextmanager
    def afresh(self, subject: Subject) -> Iterator[Subject]:
        """One more of ``subject``, just started."""
        around = replace(self._around, folder=self._own_folder("fresh"))
        with contextlib.ExitStack() as stack:
            yield _start(stack, [self._starting[subject.name]], around, self._cores)[0]

    @contextlib.contextmanager
    def counted(self, subject: Subject, scenario: Scenario) -> Iterator[Counted]:
        """One more of ``subject``, a kssl, with counters, in front of the scenario's backend."""
        upstream = self.backend(scenario).port
        folder = self._own_folder("counted")
        folder.mkdir()
        around = replace(self._around, folder=folder, upstream=upstream)
        with contextlib.ExitStack() as stack:
            with pinned(self._cores.proxy):
                proxy = stack.enter_context(counted(subject, around))
            yield proxy

    def _own_folder(self, name: str) -> Path:
        return self._around.folder / f"{name}-{next(self._numbers)}"


def _start(
    stack: contextlib.ExitStack, starting: Sequence[Starter], around: Surroundings, cores: Cores
) -> list[Subject]:
    around.folder.mkdir(parents=True)
    subjects = []
    for start in starting:
        with pinned(cores.proxy):
            subjects.append(stack.enter_context(start(around)))
    return subjects
