"""Runs a trace: in each mode a proxy of its own, the warm-up, then the one request."""

from __future__ import annotations

import contextlib
import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from kssl.config.errors import ConfigError
from kssl.config.parameters import parse_assignments
from kssl.config.target import Target
from kssl.fastpath.engines.registry import choose_engine
from kssl.proxy.service.spawn import ProxyProcess, ProxyStartError, spawn_proxy
from kssl.proxy.trace import recorder
from kssl.proxy.trace.client import ClientError, Reply, TracedClient
from kssl.proxy.trace.recorder import Recording
from kssl.proxy.trace.request import Request
from kssl.proxy.trace.steps import Walk, handshake_walk, request_walk
from kssl.proxy.upstream.lookup import LookupFailedError, resolve

_CONNECT_SECONDS = 10.0


class TraceError(RuntimeError):
    """The trace cannot be made; str() is for people."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do."""

    target: Target
    app: str  # what it is called in the output
    app_pid: int | None  # of the built-in app
    request: Request
    modes: Sequence[str]  # "user", "kernel"
    hops: int = 1  # in user mode
    warm_up: int = 1  # requests before the one that is traced
    engine: str = "auto"  # of kernel mode


@dataclass(frozen=True, slots=True)
class Trace:
    """One request's way in one mode."""

    mode: str
    engine: str
    hops: int  # 0 in kernel mode
    app: str
    app_pid: int | None
    request: Request
    reply: Reply
    tls: tuple[str, str]  # version, cipher suite
    handshake: Walk
    walk: Walk

    @property
    def reached_the_app(self) -> bool:
        """Whether the reply is the app's. Otherwise kssl has refused, or the app said nothing."""
        return any(step.actor == "app" and step.bytes_out for step in self.walk.steps)


def run(plan: Plan) -> Iterator[Trace]:
    """Raises TraceError, ProxyStartError or ClientError when it cannot be done, and ConfigError
    when the plan is wrong."""
    _look_for_the_app(plan)
    for mode in plan.modes:
        yield _trace(plan, mode)


def _look_for_the_app(plan: Plan) -> None:
    """Before any proxy is started, because its 502 would be a trace of something else."""
    failure: OSError | None = None
    try:
        addresses = resolve(plan.target)
    except LookupFailedError as error:
        raise ConfigError(f"cannot look up the app {plan.target.host!r}: {error}") from None
    for family, address in addresses:
        try:
            with socket.socket(family) as probe:
                probe.settimeout(_CONNECT_SECONDS)
                probe.connect(address)
            return
        except OSError as error:
            failure = failure or error  # localhost may be more than this machine has
    why = (failure.strerror or str(failure)).lower() if failure else "no address"
    raise TraceError(
        f"no app at {plan.target}: {why}; start it first, or leave the URL out for the demo app"
    )


def _trace(plan: Plan, mode: str) -> Trace:
    arguments = ["--mode", mode]
    hops = plan.hops if mode == "user" else 0
    if hops > 1:
        arguments += ["--set", f"UserModeHops={hops}"]
    if mode == "kernel":
        arguments += ["--engine", plan.engine]
    wanted = plan.engine if mode == "kernel" else "auto"
    engine = choose_engine(wanted, kernel_mode=mode == "kernel")
    with tempfile.TemporaryDirectory(prefix="kssl-trace-") as folder:
        events = Path(folder) / "events"
        events.mkdir(0o700)
        program = ("kssl.proxy.trace.process", str(events), "kssl.proxy")
        with (
            tempfile.TemporaryFile() as said,
            _told(said),
            spawn_proxy(
                str(plan.target), *arguments,
                state_dir=Path(folder) / "state", stderr=said, program=program,
            ) as proxy,
        ):  # fmt: skip
            client, reply = _ask(plan, proxy)
        recordings = [client.recording, *recorder.read(events)]
    _complete(recordings, hops)
    return Trace(
        mode=mode,
        engine=engine.name,
        hops=hops,
        app=plan.app,
        app_pid=plan.app_pid,
        request=plan.request,
        reply=reply,
        tls=client.tls,
        handshake=handshake_walk(recordings, client.shook_from, client.shook_until),
        walk=request_walk(recordings, reply.begin, reply.end),
    )


@contextlib.contextmanager
def _told(said: IO[bytes]) -> Iterator[None]:
    """What the proxy says is of interest only if it does not start, or loses the connection."""
    try:
        yield
    except (ProxyStartError, ClientError) as error:
        said.seek(0)
        last = said.read().decode(errors="replace").strip().rpartition("\n")[2]
        more = f"; the proxy's last words: {last}" if last else ""
        raise TraceError(f"{error}{more}") from None


def _ask(plan: Plan, proxy: ProxyProcess) -> tuple[TracedClient, Reply]:
    """The client with what it has recorded, closed; and the traced request's reply."""
    context = ssl.create_default_context(cafile=proxy.ca)
    before = [plan.request.warm_up()] * plan.warm_up
    with TracedClient(proxy.port, context) as client:
        while before and client.reusable:
            client.ask(before.pop())
        if client.reusable:
            return client, client.ask(plan.request)
    # The proxy closed the connection behind the warm-up's reply.
    with TracedClient(proxy.port, context) as client:
        return client, client.ask(plan.request)


def _complete(recordings: Sequence[Recording], hops: int) -> None:
    wanted = {"client", "front", "worker"} | ({"filter"} if hops > 1 else set())
    missing = wanted - {recording.actor for recording in recordings}
    if missing:
        raise TraceError(f"no events from {', '.join(sorted(missing))}: the process was killed")


def check_hops(hops: int) -> None:
    """Raises ConfigError when the proxy does not have so many."""
    if hops > 1:
        parse_assignments([f"UserModeHops={hops}"])
