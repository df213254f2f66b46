"""Plays all scenes and collects what came out."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kssl.config.devca import DevelopmentCA
from kssl.proxy.demo.truncation import fronts, nginx, orders, play
from kssl.proxy.demo.truncation.app import App
from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.clients import CLIENTS, Client
from kssl.proxy.demo.truncation.play import StagingError
from kssl.proxy.demo.truncation.rows import GUARD, OFF, ON, PASS, Row, Scene, judged, who_checks

MODES = ("user", "kernel")
SCENES: tuple[Scene, ...] = ("reply", "request", "upstream")


@dataclass(slots=True)
class Result:
    """`failed`: what could not be played, and why. `left_out`: what is not installed."""

    clients: Sequence[Client]
    rows: list[Row] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    @property
    def differs(self) -> list[Row]:
        """Rows that are not as the protocol promises."""
        return [row for row in self.rows if not row.as_expected]

    @property
    def exit_status(self) -> int:
        return 0 if self.rows and not self.differs and not self.failed else 1

    def of(self, scene: Scene, proxy: str | None = None) -> list[Row]:
        return [row for row in self.rows if row.scene == scene and proxy in (None, row.proxy)]


@dataclass(frozen=True, slots=True)
class _Stage:
    """What all scenes share: `app` in plain HTTP, and `relay` before the one with TLS."""

    state: Path
    app: App
    relay: Attacker
    files: tuple[Path, Path, Path]  # certificate, key, CA
    clients: Sequence[Client]


def run(
    modes: Sequence[str] = MODES,
    *,
    clients: Sequence[Client] = CLIENTS,
    scenes: Sequence[Scene] = SCENES,
    beside: bool = True,
) -> Result:
    """``beside``: nginx too, if it is installed."""
    result = Result([client for client in clients if client.installed])
    result.left_out += [client.name for client in clients if not client.installed]
    with _stage(result.clients) as stage:
        for mode in modes:
            for setting in (OFF, ON):
                what = f"reply, request: kssl {mode} mode, {setting}"
                _collect(result, what, _http(stage, mode, setting, scenes))
            if "upstream" in scenes:
                for setting in (PASS, GUARD):
                    what = f"upstream: kssl {mode} mode, {setting}"
                    _collect(result, what, _https(stage, mode, setting))
        program = nginx.find() if beside else None
        if program is not None:
            _collect(result, "nginx", _nginx(stage, program, scenes))
        elif beside:
            result.left_out.append("nginx")
    checks = who_checks(result.rows)
    named = {client.name: client for client in clients}
    result.rows = [
        judged(row, named[row.client], checks) if row.client in named else row
        for row in result.rows
    ]
    return result


@contextlib.contextmanager
def _stage(clients: Sequence[Client]) -> Iterator[_Stage]:
    with contextlib.ExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="kssl-")))
        ca = DevelopmentCA.open_or_create(state)
        certificate, key = ca.ensure_leaf()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        app, https = stack.enter_context(App()), stack.enter_context(App(context))
        relay = stack.enter_context(Attacker(https.port))
        yield _Stage(state, app, relay, (certificate, key, ca.ca_path), clients)


def _collect(result: Result, what: str, rows: Iterable[Row]) -> None:
    try:
        result.rows.extend(rows)
    except StagingError as error:
        result.failed.append(f"{what}: {error}")


def _http(stage: _Stage, mode: str, setting: str, scenes: Sequence[Scene]) -> Iterator[Row]:
    with fronts.in_front_of_http(stage.app.port, mode, setting, stage.state) as front:
        if "reply" in scenes:
            yield from play.reply(front, stage.clients)
        if "request" in scenes:
            yield orders.request(front, stage.app)


def _https(stage: _Stage, mode: str, setting: str) -> Iterator[Row]:
    with fronts.in_front_of_https(stage.relay.port, mode, setting, stage.state) as front:
        yield from play.upstream(front, stage.clients, stage.relay)


def _nginx(stage: _Stage, program: str, scenes: Sequence[Scene]) -> Iterator[Row]:
    with nginx.running(program, stage.app.port, stage.relay.port, stage.files) as (http, https):
        if "reply" in scenes:
            yield from play.reply(http, stage.clients)
        if "request" in scenes:
            yield orders.request(http, stage.app)
        if "upstream" in scenes:
            yield from play.upstream(https, stage.clients, stage.relay)
