"""What is asked for, over how many connections."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from bench.errors import BenchError
from proxy.demo import stream

# Below this path the backend adds a field of its own to each response, and the load one to each
# request. A load that repeats itself would otherwise flatter whoever remembers heads.
VARIED = "/varied/"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One reply that is fetched again and again."""

    name: str
    label: str
    size: int
    connections: int
    varied: bool = False  # no two heads are the same, in either direction

    @property
    def path(self) -> str:
        """Of the static file in nginx as the backend."""
        return f"{VARIED}{self.file_name}" if self.varied else f"/{self.file_name}"

    @property
    def file_name(self) -> str:
        """Of the static file in the backend."""
        return f"{self.size}.bin"

    def body(self) -> bytes:
        """The reply's content, the same as the demo app's ``/bytes/N``."""
        return b"".join(stream.pieces(self.size))

    def sha256(self) -> str:
        return hashlib.sha256(self.body()).hexdigest()


SCENARIOS = (
    Scenario("tiny", "12 B x 32 conn", 12, 32),
    Scenario("varied", "12 B, heads vary", 12, 32, varied=True),
    Scenario("10k", "10 KiB x 32 conn", 10 * 2**10, 32),
    Scenario("10m", "10 MiB x 4 conn", 10 * 2**20, 4),
)


def choose(names: Iterable[str]) -> list[Scenario]:
    """The scenarios of these names, all for none. Raises BenchError."""
    by_name = {scenario.name: scenario for scenario in SCENARIOS}
    wanted = list(names)
    for name in wanted:
        if name not in by_name:
            raise BenchError(f"no scenario {name!r}; there are {', '.join(by_name)}")
    return [by_name[name] for name in wanted] or list(SCENARIOS)
