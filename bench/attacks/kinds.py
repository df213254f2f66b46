"""The attacks: who makes them, and what they send."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from kssl.bench.errors import BenchError

# The host name of the site whose app is hostile. The others' site is `localhost`.
HOSTILE_NAME = "attack.localhost"


@dataclass(frozen=True, slots=True)
class Attack:
    """``connections`` of the attacking client; ``target`` is what it asks for: of the hostile app,
    unless ``of_backend``. ``settle``: seconds before the others are measured, of an attack that
    begins with what is no attack."""

    name: str
    label: str
    connections: int = 1
    target: str = "/drain"
    of_backend: bool = False
    settle: float = 0.2

    @property
    def host(self) -> str:
        return "localhost" if self.of_backend else HOSTILE_NAME


ATTACKS = (
    Attack("chunks", "a client sends chunks of 1 byte"),
    Attack("chunks-8", "8 clients send chunks of 1 byte", connections=8),
    Attack("app-chunks", "an app sends chunks of 1 byte", target="/chunks"),
    Attack("interim", "an app sends 103 (Early Hints) without end", target="/interim"),
    Attack("records", "a client sends TLS records of 1 byte"),
    Attack("key-updates", "a client sends KeyUpdates, each behind a byte"),
    Attack("pipelined", "a client pipelines requests", of_backend=True, target="/12.bin"),
    Attack("heads", "a client sends heads of 150 fields", of_backend=True, target="/12.bin"),
    Attack("trickle", "50 clients send heads byte by byte", connections=50),
    Attack("handshakes", "4 clients make one full handshake after the other", connections=4),
    Attack("garbage", "4 clients send hellos of random bytes", connections=4),
    Attack("slow-readers", "100 clients read nothing of 10 MiB", connections=100,
           target="/large", settle=2.0),
)  # fmt: skip


def by_name() -> dict[str, Attack]:
    """All of them."""
    return {attack.name: attack for attack in ATTACKS}


def choose(names: Iterable[str]) -> list[Attack]:
    """The attacks of these names; of none, all. Raises BenchError."""
    every = by_name()
    wanted = list(names) or list(every)
    for name in wanted:
        if name not in every:
            raise BenchError(f"no attack {name!r}; there are {', '.join(every)}")
    return [every[name] for name in wanted]
