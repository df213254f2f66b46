"""The rounds: A B C A B C …, so that a slow minute of the machine hits everybody alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.load import Load
from bench.pinning import pinned
from bench.scenarios import Scenario
from bench.subjects import Subject


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time of one kind of process, in microseconds for each request."""

    total: float
    user: float
    system: float


@dataclass(frozen=True, slots=True)
class Round:
    """One subject under load for some seconds."""

    scenario: str
    subject: str
    number: int
    requests: int
    seconds: float
    cpu: dict[str, Usage]

    @property
    def total(self) -> float:
        """Microseconds of CPU time for each request, all processes of the subject."""
        return sum(usage.total for usage in self.cpu.values())

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds


def measure(
    subject: Subject, scenario: Scenario, path: str, load: Load, *,
    seconds: int, number: int, core: int | None,
) -> Round:  # fmt: skip
    """One round. Raises BenchError."""
    before = subject.cpu()
    with pinned(core):
        result = load.run(f"https://localhost:{subject.port}{path}", scenario.connections, seconds)
    after = subject.cpu()
    cpu = {}
    for kind, spent in after.items():
        used = spent - before[kind]
        scale = 1e3 * result.requests
        cpu[kind] = Usage(used.total / scale, used.user / scale, used.system / scale)
    return Round(scenario.name, subject.name, number, result.requests, result.seconds, cpu)


def run_rounds(
    subjects: Sequence[Subject], scenarios: Sequence[Scenario], path: Callable[[Scenario], str],
    load: Load, *, rounds: int, seconds: int, core: int | None,
    on_round: Callable[[Round], None],
) -> list[Round]:  # fmt: skip
    """All rounds of all scenarios. Raises BenchError."""
    done = []
    for scenario in scenarios:
        for number in range(rounds):
            for subject in subjects:
                done.append(
                    measure(
                        subject, scenario, path(scenario), load,
                        seconds=seconds, number=number, core=core,
                    )
                )  # fmt: skip
                on_round(done[-1])
    return done
