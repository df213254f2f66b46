"""What is asked for, over how many connections."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from kssl.bench.errors import BenchError
from kssl.proxy.demo import stream

# Below this path the backend adds a field of its own to each response, and the load one to each
# request. A load that repeats itself would otherwise flatter whoever remembers heads.
VARIED = "/varied/"

UNITS = {"handshake": "connection", "websocket": "message"}

KIB, MIB = 2**10, 2**20


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing that is done again and again.

    ``kind`` is "reply", "upload", "handshake", "websocket", "connections" (replies again, over
    few or many connections), "latency" (replies at a fixed rate) or "idle". ``size`` is that of
    the reply's body, of the request's for uploads, of the message for WebSocket. ``rate`` is in
    requests per second over all connections; None: as fast as replies come.
    """

    name: str
    label: str
    kind: str
    size: int
    connections: int
    rate: int | None = None
    varied: bool = False  # no two heads are the same, in either direction
    resumed: bool = False  # of handshakes: with the session of the connection before
    content_type: str = "application/octet-stream"

    @property
    def unit(self) -> str:
        """What is counted: "request", "message" or "connection"."""
        return UNITS.get(self.kind, "request")

    @property
    def uploads(self) -> bool:
        """Whether the body is in the request."""
        return self.kind == "upload"

    @property
    def is_form(self) -> bool:
        return self.content_type == FORM

    @property
    def file_name(self) -> str:
        """Of the static file in the backend."""
        return f"{self.size}.bin"

    def body(self) -> bytes:
        """What is sent: in a reply the same as the demo app's ``/bytes/N``."""
        if self.is_form:
            return b"text=".ljust(self.size, b"x")
        return b"".join(stream.pieces(self.size))

    def sha256(self) -> str:
        return hashlib.sha256(self.body()).hexdigest()


FORM = "application/x-www-form-urlencoded"

SCENARIOS = (
    Scenario("tiny", "12 B, 32 connections", "reply", 12, 32),
    Scenario("varied", "12 B, heads vary, 32 connections", "reply", 12, 32, varied=True),
    Scenario("10k", "10 KiB, 32 connections", "reply", 10 * KIB, 32),
    Scenario("1m", "1 MiB, 8 connections", "reply", MIB, 8),
    Scenario("10m", "10 MiB, 4 connections", "reply", 10 * MIB, 4),
    Scenario("10m-up", "10 MiB uploaded, 4 connections", "upload", 10 * MIB, 4),
    Scenario("form", "form post of 4 KiB, 32 connections", "upload", 4 * KIB, 32,
             content_type=FORM),
    Scenario("full", "full handshake and 12 B, 16 at a time", "handshake", 12, 16),
    Scenario("resumed", "resumed session and 12 B, 16 at a time", "handshake", 12, 16,
             resumed=True),
    Scenario("websocket", "WebSocket, 125 B echoed, 32 connections", "websocket", 125, 32),
    Scenario("c1", "12 B, 1 connection", "connections", 12, 1),
    Scenario("c4", "12 B, 4 connections", "connections", 12, 4),
    Scenario("c256", "12 B, 256 connections", "connections", 12, 256),
    Scenario("c1000", "12 B, 1,000 connections", "connections", 12, 1000),
    # Its rate is half of nginx's peak in the same run.
    Scenario("latency", "12 B at a fixed rate, 32 connections", "latency", 12, 32),
    Scenario("idle", "12 B beside 10,000 idle connections", "idle", 12, 32,
             rate=1000),
)  # fmt: skip

# How many connections do nothing in the scenario "idle".
IDLE_CONNECTIONS = 10_000


def by_name() -> dict[str, Scenario]:
    """All of them."""
    return {scenario.name: scenario for scenario in SCENARIOS}


def choose(names: Iterable[str]) -> list[Scenario]:
    """The scenarios of these names. Raises BenchError."""
    every = by_name()
    wanted = list(names)
    for name in wanted:
        if name not in every:
            raise BenchError(f"no scenario {name!r}; there are {', '.join(every)}")
    return [every[name] for name in wanted]
