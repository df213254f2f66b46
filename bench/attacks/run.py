"""The others' latency, idle and under attack, round by round."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kssl.bench import backend
from kssl.bench.attacks import app, subjects
from kssl.bench.attacks.kinds import Attack
from kssl.bench.attacks.subjects import Around, Attacked
from kssl.bench.backend import Backend
from kssl.bench.errors import BenchError
from kssl.bench.load import process as loads
from kssl.bench.load.job import Job
from kssl.bench.load.own import OwnClient
from kssl.bench.pinning import Cores, choose_cores, pinned
from kssl.bench.scenarios import Scenario
from kssl.config.devca import DevelopmentCA
from kssl.fastpath.ipc.hardening import interpreter

# The others: 12 bytes over 8 connections at a rate that leaves most of a core free.
OTHERS = Scenario("others", "12 B, 8 connections, 400 requests/s", "latency", 12, 8, rate=400)

_UP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Latency:
    """In microseconds."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Found:
    """One attack on one proxy: medians over the rounds. ``ratio`` is that of p99, round by round;
    ``failed``: why there is no figure under attack."""

    attack: str
    subject: str
    idle: Latency
    attacked: Latency | None
    ratio: float | None
    failed: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be measured. ``seconds`` of each measurement, of which a round has two."""

    attacks: Sequence[Attack]
    modes: Sequence[str]
    nginx: bool
    rounds: int
    seconds: int
    arguments: Sequence[str] = ()


def run(wanted: Wanted, say: Callable[[str], None]) -> list[Found]:
    """Raises BenchError and ProxyStartError."""
    cores = choose_cores()
    own = cores.proxy is None or len(os.sched_getaffinity(0)) > 2
    found: list[Found] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kssl-bench-")))
        ca = DevelopmentCA.open_or_create(folder / "ca")
        certificate, key = ca.ensure_leaf()
        with pinned(cores.backend):
            web = stack.enter_context(backend.running(folder, [OTHERS]))
        with _attackers_place(cores):
            hostile = stack.enter_context(app.running())
        around = Around(folder, web.port, hostile, certificate, key)
        going = _start(stack, wanted, around, cores)
        if len(going) < len(wanted.modes) + wanted.nginx:
            say("without nginx: it is not installed (Debian: apt install nginx-light)")
        if not own:
            say("two cores: the attacker shares one with the load, and gives way to it")
        bench = _Bench(str(ca.ca_path), folder, web, cores, wanted)
        for attack in wanted.attacks:
            for subject in going:
                found.append(bench.measure(subject, attack))
                say(in_words(found[-1]))
    return found


def in_words(one: Found) -> str:
    """One line for people."""
    told = f"{one.attack}, {one.subject}: p99 {one.idle.p99 / 1000:.2f} ms"
    if one.attacked is None:
        return f"{told}, under attack: {one.failed}"
    return f"{told}, under attack {one.attacked.p99 / 1000:.2f} ms, {one.ratio:.1f} times"


def _start(
    stack: contextlib.ExitStack, wanted: Wanted, around: Around, cores: Cores
) -> list[Attacked]:
    with pinned(cores.proxy):
        going = [
            stack.enter_context(subjects.kssl(mode, around, list(wanted.arguments)))
            for mode in wanted.modes
        ]
        if wanted.nginx and (nginx := stack.enter_context(subjects.beside(around))) is not None:
            going.append(nginx)
    return going


@contextlib.contextmanager
def _attackers_place(cores: Cores) -> Iterator[None]:
    """A core that nobody else needs; else the load's, and only while the load leaves it free."""
    usable = sorted(os.sched_getaffinity(0))
    free = [core for core in usable if core not in (cores.proxy, cores.load, cores.backend)]
    if free or cores.load is None:
        with pinned(free[0] if free else None):
            yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    with pinned(cores.load):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        try:
            yield
        finally:
            os.sched_setscheduler(0, policy, parameters)


@dataclass(frozen=True, slots=True)
class _Bench:
    ca: str
    folder: Path
    web: Backend
    cores: Cores
    wanted: Wanted

    def measure(self, subject: Attacked, attack: Attack) -> Found:
        idle: list[Latency] = []
        attacked: list[Latency] = []
        failed = ""
        for _ in range(self.wanted.rounds):
            idle.append(self._others(subject))
            command = [
                *interpreter(), "-m", "kssl.bench.attacks.client",
                attack.name, str(subject.port), self.ca,
            ]  # fmt: skip
            with contextlib.ExitStack() as stack:
                with _attackers_place(self.cores):
                    process = stack.enter_context(loads.running(command, f"attack {attack.name}"))
                process.wait_for("up", _UP_SECONDS)
                try:
                    attacked.append(self._others(subject))
                except BenchError as error:
                    failed = str(error)
                    break
        middle = _median(idle)
        if failed:
            return Found(attack.name, subject.name, middle, None, None, failed)
        pairs = zip(attacked, idle, strict=True)
        ratio = statistics.median(under.p99 / quiet.p99 for under, quiet in pairs)
        return Found(attack.name, subject.name, middle, _median(attacked), ratio)

    def _others(self, subject: Attacked) -> Latency:
        url = f"https://localhost:{subject.port}{self.web.path(OTHERS)}"
        job = Job(OTHERS, url, self.ca, self.wanted.seconds, self.folder)
        with pinned(self.cores.load):
            result = OwnClient().run(job, lambda: None, lambda: None)
        told = dict(result.percentiles or ())
        return Latency(told[50.0], told[99.0])


def _median(values: Sequence[Latency]) -> Latency:
    return Latency(
        statistics.median(one.p50 for one in values), statistics.median(one.p99 for one in values)
    )
