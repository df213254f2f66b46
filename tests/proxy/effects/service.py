"""`kssl serve` as a process with a kssl.toml, and what can be seen of it from outside: what clients
and the app get, its stderr, and its HTTPERR log."""

from __future__ import annotations

import json
import os
import signal
import ssl
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kssl.config.parameter import Profile, Value
from kssl.config.running import FOLDER, RunningService, running_services
from kssl.proxy.journal.httperr import FIELDS
from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy
from tests.proxy.frontend.clients import Answer, Client, request
from tests.proxy.frontend.rig import wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide, response


def app(side: UpstreamSide) -> None:
    """Behind the proxy. ``/bytes/N``: so many; ``/field/N``: a field of that size; ``/hang``: no
    answer; ``/stall``: half of one; ``/tunnel``: 101 and nothing more."""
    while True:
        head = side.read_head()
        if b"\r\nExpect: 100-continue\r\n" in head:
            side.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        side.read_body(head)
        path = head.split(b" ")[1]
        if path == b"/hang":
            side.read_to_end()
            return
        if path == b"/tunnel":
            side.send(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: raw\r\nConnection: Upgrade\r\n\r\n"
            )
            side.read_to_end()
            return
        if path == b"/stall":
            side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
            side.read_to_end()
            return
        _, found, size = path.partition(b"/field/")
        if found:
            side.send(response(b"", b"X: " + b"a" * int(size)))
            continue
        _, found, size = path.partition(b"/bytes/")
        side.send(response(bytes(int(size)) if found else b"abc", b"Server: app"))


def as_toml(values: Mapping[str, Value]) -> str:
    """The table of parameters. What JSON can say, TOML reads alike."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
    return "\n".join(["[parameters]", *lines, ""])


class Running:
    """One service, with one site for every name, and `app` behind it but for `set_before`."""

    def __init__(
        self, state: Path, app: Upstream, values: Mapping[str, Value], profile: Profile
    ) -> None:
        self.app = app
        self.state = state
        self._profile = profile
        self._file = state / "kssl.toml"
        self._write(app.port, values)
        self._stderr = state / "stderr"
        self._stack = ExitStack()
        arguments = ("--config", str(self._file))
        with self._stderr.open("wb") as stderr:
            self.process: ProxyProcess = self._stack.enter_context(
                spawn_proxy(None, *arguments, state_dir=state, listen=None, stderr=stderr)
            )
        wait_for(self._record_file.exists, "the service's record")
        self.context = ssl.create_default_context(cafile=self.process.ca)

    def _write(self, port: int, values: Mapping[str, Value]) -> None:
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            file.write(f'profile = "{self._profile}"\n{as_toml(values)}')
            file.write('[logs]\naccess = "off"\n[[site]]\nbindings = ["https://127.0.0.1:0"]\n')
            file.write(f'upstreams = ["127.0.0.1:{port}"]\n')

    def set(self, **values: Value) -> None:
        """SIGHUP with these values, the rest at their defaults."""
        self.set_before(self.app.port, **values)

    def set_before(self, port: int, /, **values: Value) -> None:
        """The same with another app, at `port`."""
        self._write(port, values)
        record = self._record_file
        record.unlink()  # the service writes it anew after each reload
        self.process.process.send_signal(signal.SIGHUP)
        wait_for(record.exists, f"a reload with {values}")
        assert self.record.failure == ""

    @property
    def _record_file(self) -> Path:
        return self.state / FOLDER / f"{self.process.pid}.json"

    @property
    def record(self) -> RunningService:
        """What the service says about itself."""
        (found,) = running_services(self.state)
        return found

    @property
    def stderr(self) -> str:
        """All of it, if the service has ended."""
        return self._stderr.read_text()

    # -- requests --------------------------------------------------------------------------

    def client(self, **options: Any) -> Client:
        return Client(self.process.port, self.context, **options)

    def passes(self, target: bytes, *fields: bytes) -> Answer:
        """The app gets it, as it was sent."""
        with self.client() as client:
            answer = client.ask(b"GET", target, *fields)
        assert (answer.status, answer.body) == (200, b"abc"), (target, answer)
        assert b"GET %b HTTP/1.1\r\n" % target in self.app.received
        return answer

    def refuses(self, target: bytes, *fields: bytes, status: int = 400, reason: str) -> Answer:
        """A page of the proxy's, and a line in the HTTPERR log; nothing gets to the app."""
        received = len(self.app.received)
        with self.more(reason, status), self.client() as client:
            client.send(request(b"GET", target, *fields))
            answer = client.read_answer()
        assert answer.status == status, (target, answer)
        assert len(self.app.received) == received
        return answer

    # -- the HTTPERR log -------------------------------------------------------------------

    @contextmanager
    def more(self, reason: str, status: int = 0, *, lines: int = 1) -> Iterator[None]:
        """What happens in the block leads to so many lines with this s-reason and sc-status (0:
        "-"), sooner or later."""
        wanted = self._count(reason, status) + lines
        yield
        wait_for(lambda: self._count(reason, status) >= wanted, f"{lines} of {reason} {status}")
        assert self._count(reason, status) == wanted

    def _count(self, reason: str, status: int) -> int:
        wanted = (reason, str(status or "-"))
        lines = error_lines(self.state / "LogFiles")
        return sum((line["s-reason"], line["sc-status"]) == wanted for line in lines)

    # -- the end ---------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()


def error_logs(folder: Path) -> list[Path]:
    """The files of the HTTPERR log below `folder`, which is what ErrorLoggingDir says; at most 9,
    oldest first."""
    return sorted((folder / "HTTPERR").glob("httperr?.log"))


def error_lines(folder: Path) -> list[dict[str, str]]:
    """By field, without what is not a whole line yet."""
    return [
        dict(zip(FIELDS, line.split(" "), strict=True))
        for path in error_logs(folder)
        for line in path.read_text().splitlines(keepends=True)
        if line.endswith("\n") and not line.startswith("#")
    ]


class Services:
    """What an effect is shown with: `live`, one service for everything that SIGHUP applies, and
    `start`, which starts another for what only a start applies."""

    def __init__(self, folder: Path, app: Upstream, live: Callable[[], Running]) -> None:
        self._folder = folder
        self._app = app
        self._live = live

    @property
    def live(self) -> Running:
        return self._live()

    def folder(self) -> Path:
        """A new one, removed with the other things of the tests."""
        return Path(tempfile.mkdtemp(dir=self._folder))

    def start(self, profile: Profile = Profile.NATIVE, /, **values: Value) -> Running:
        """To be used as a context manager."""
        return Running(self.folder(), self._app, values, profile)
