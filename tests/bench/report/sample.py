"""An outcome with plausible figures, as a run leaves it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from kssl.bench.backend import Backend
from kssl.bench.measure.counting import Counts
from kssl.bench.measure.idle import Idle
from kssl.bench.measure.rounds import Meter, Round
from kssl.bench.outcome import LoadUsed, Outcome, Plan
from kssl.bench.pinning import Cores
from kssl.bench.probe import Probed
from kssl.bench.proc import CpuTime
from kssl.bench.scenarios import choose
from kssl.bench.subjects import Subject

TINY, TEN_K, FULL, LATENCY, IDLE = choose(["tiny", "10k", "full", "latency", "idle"])
PERCENTILES = ((50.0, 1000.0), (75.0, 1200.0), (90.0, 1500.0), (99.0, 2500.0), (99.9, 9000.0))

USER = Subject("kssl user", 1, {"front": [1], "worker": [2]}, "0.1.0", {"arguments": ""},
               kind="kssl", mode="user", engine="worker", hops=1)  # fmt: skip
KERNEL = Subject("kssl kernel", 2, {"front": [3], "worker": [4]}, "0.1.0", {"arguments": ""},
                 kind="kssl", mode="kernel", engine="aead")  # fmt: skip
NGINX = Subject("nginx", 3, {"front": [5]}, "1.22.1", {"config": "daemon off;"})
PLAIN = Subject("nginx-plain", 4, {"front": [6]}, "1.22.1", {"config": "daemon off;"},
                kind="floor", scheme="http")  # fmt: skip


def one_round(scenario: str, subject: Subject, number: int, front: float, worker: float) -> Round:
    """``front`` and ``worker`` are µs of CPU time for each of 3,000 units in 3 s."""
    cpu = {"front": _time(front), "worker": _time(worker)}
    if "worker" not in subject.pids:
        del cpu["worker"]
    return Round(scenario, subject.name, number, 3000, 3.0, cpu, PERCENTILES, 50 * 2**20)


def _time(microseconds: float) -> CpuTime:
    """A quarter of it is system time, as far as the kernel tells in ticks."""
    return CpuTime(int(microseconds * 3e6), 30_000_000, 10_000_000)


def outcome() -> Outcome:
    figures = [
        (USER, [(40.0, 10.0), (30.0, 10.0), (50.0, 10.0), (41.0, 10.0), (39.0, 10.0)]),
        (KERNEL, [(20.0, 0.0), (22.0, 0.0), (25.0, 0.0), (21.0, 0.0), (20.0, 0.0)]),
        (NGINX, [(10.0, 0.0), (20.0, 0.0), (10.0, 0.0), (10.5, 0.0), (22.0, 0.0)]),
        (PLAIN, [(8.0, 0.0)] * 5),
    ]
    rounds = [
        one_round(scenario.name, subject, number, *parts)
        for scenario in (TINY, TEN_K, FULL, LATENCY)
        for subject, series in figures
        for number, parts in enumerate(series)
        if not (scenario is FULL and subject is PLAIN)
    ]
    beside = one_round("idle", KERNEL, 0, 60.0, 0.0)
    return Outcome(
        plan=Plan(scenarios=[TINY, TEN_K, FULL, LATENCY, IDLE]),
        when=datetime(2026, 11, 21, tzinfo=UTC),
        cores=Cores(0, 1, 3),
        backend=Backend(1, "nginx", "1.22.1", "daemon off;"),
        clock="cpu clock",
        subjects=[USER, KERNEL, NGINX, PLAIN],
        probed={
            one.name: Probed("TLSv1.3", "TLS_AES_256_GCM_SHA384")
            if one.scheme == "https"
            else Probed(None, None)
            for one in (USER, KERNEL, NGINX, PLAIN)
        },
        scenarios=[TINY, TEN_K, FULL, replace(LATENCY, rate=500), IDLE],
        rounds=[*rounds, beside],
        idle={("idle", "kssl kernel"): Idle(37.1, 10_000, 300.0, 350.0, beside, Meter(KERNEL))},
        counts={("tiny", "kssl user"): Counts(4.0, 2.5, 600.0, 2000.0, 6.5)},
        without_latency={("latency", "kssl user")},
        loads=[LoadUsed("wrk", "4.1.0", "wrk -t1")],
        notes=["without caddy: not installed"],
        taken_seconds=123.45,
    )
