"""The proxy under test: a `Service` on uvloop in a thread of this process.

Starting one costs a worker process, so there is one for each mode for all tests; what a test
varies (codec, upstream, parameters) is exchanged in its `Front` between tests.
"""

from __future__ import annotations

import asyncio
import io
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from kssl.config.model import Binding, Configuration, Site
from kssl.config.parameter import Profile
from kssl.config.parameters import Parameters
from kssl.config.target import Listen, Target
from kssl.proxy.frontend.front import Front
from kssl.proxy.http.codec import get_codec
from kssl.proxy.journal.accesslog import AccessLog
from kssl.proxy.journal.httperr import ErrorLog
from kssl.proxy.journal.journal import Journal
from kssl.proxy.service.service import Service, ServiceOptions
from kssl.proxy.upstream.lookup import Lookup, look_up
from tests.loops import new_event_loop
from tests.proxy.frontend.clients import Client

T = TypeVar("T")
SECONDS = 60.0
NOBODY = Target("http", "127.0.0.1", 9)
TLS = Binding(Listen("127.0.0.1", 0))
PLAIN = Binding(Listen("127.0.0.1", 0), tls=False)
BINDINGS = (TLS, PLAIN)


def one_site(target: Target) -> Site:
    """For every name, over TLS."""
    return Site(name="default", bindings=(TLS,), default=True, upstreams=(target,))


class Errors(ErrorLog):
    """An HTTPERR log that keeps its lines, as they are given."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []
        self.unclean: list[dict[str, Any]] = []  # apart: the tests' clients seldom close in order

    def write(self, **line: Any) -> None:
        (self.unclean if line["reason"] == "Unclean_Close" else self.lines).append(line)

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def of(self, reason: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["reason"] == reason]


def wait_for(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    """Polls until ``condition`` holds, for what has no event to wait for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.002)


class Rig:
    """A running proxy and ways to reach into it. Everything of its loop runs in its thread."""

    def __init__(
        self,
        mode: str,
        state_dir: Path,
        *,
        workers: int = 1,
        profile: Profile = Profile.NATIVE,
        target: Target = NOBODY,
        look_up: Lookup = look_up,
        site: Site | None = None,
        inherited: Callable[[str], Sequence[socket.socket]] = lambda name: (),
        **values: int,
    ) -> None:
        """``look_up`` finds upstreams. ``site`` instead of one with ``target`` on `BINDINGS`.
        ``inherited``: as `Service.start` takes it. ``values``: parameters that it is started with,
        other than the defaults."""
        self.mode = mode
        self.codec = "auto"
        self.loop = new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self._parameters = Parameters(enable_kernel_ssl=int(mode == "kernel"), **values)  # type: ignore[arg-type]
        self.service = Service(
            ServiceOptions(
                configuration=Configuration(
                    profile=profile,
                    parameters=self._parameters,
                    sites=(site or replace(one_site(target), bindings=BINDINGS),),
                ),
                state_dir=state_dir,
                workers=workers,
            ),
            look_up,
        )
        self.log = io.BytesIO()
        self.errors = Errors()
        self.wait(self.service.start(inherited))
        self._endpoints = list(self.front.endpoints)
        self.context = ssl.create_default_context(cafile=self.service.ca)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    @property
    def front(self) -> Front:
        return self.service.front

    @property
    def port(self) -> int:
        return self._endpoints[0].port

    @property
    def plain_port(self) -> int:
        return self._endpoints[1].port

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(SECONDS * 2)

    def call(self, function: Callable[[], T]) -> T:
        """Runs it in the loop's thread."""

        async def run() -> T:
            return function()

        return self.wait(run())

    def configure(self, *, port: int | None = None, **values: int) -> None:
        """An upstream, and parameters other than the defaults; what was set before is forgotten.
        Also puts `codec` into effect."""
        target = NOBODY if port is None else Target("http", "127.0.0.1", port)
        self.serve_sites(one_site(target), **values)

    def serve_sites(self, *sites: Site, **values: int) -> None:
        """The same with sites; their bindings must be those of `BINDINGS`."""
        parameters = replace(self._parameters, **values)  # type: ignore[arg-type]

        def change() -> None:
            front = self.front
            front.parameters = parameters  # also those that a reload leaves
            front.capacity.configure(parameters.max_connection_memory)
            front.codec = get_codec(self.codec)
            front.close_pools()
            self.log = io.BytesIO()
            self.errors = Errors()
            self.write_into(AccessLog(self.loop, self.log), self.errors)
            self.apply(*sites)

        self.call(change)

    def write_into(self, access: AccessLog, errors: ErrorLog) -> None:
        """Have these logs from now on; the counters stay. In the loop's thread."""
        self.front.journal = Journal(access, errors, self.front.journal.closes)

    def apply(self, *sites: Site) -> None:
        """As a reload does, with the parameters as they are. In the loop's thread."""
        configuration = Configuration(parameters=self.front.parameters, sites=sites)
        bound = {binding for site in sites for binding in site.bindings}
        endpoints = [each for each in self._endpoints if each.binding in bound]
        for endpoint in endpoints:
            endpoint.open = True
        self.front.apply(configuration, endpoints)

    def wait_until_over(self) -> None:
        """Wait until all connections are over, and the workers know it. In user mode the front end
        tells a worker only when its last word has come."""

        def over() -> bool:
            self.call(self.front.drop_closed)
            counts = [self.wait(supervisor.count()) for supervisor in self.front.supervisors]
            return not self.front.open_connections and all(
                each is not None and each["connections"] == 0 for each in counts
            )

        wait_for(over, "all connections over")

    def client(self, **options: Any) -> Client:
        return Client(self.port, self.context, **options)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Meanwhile its loop does nothing, as that of a process that has got SIGSTOP."""
        stopped, go_on = threading.Event(), threading.Event()

        def stop() -> None:
            stopped.set()
            assert go_on.wait(SECONDS)

        self.loop.call_soon_threadsafe(stop)
        assert stopped.wait(SECONDS)
        try:
            yield
        finally:
            go_on.set()

    @property
    def idle_upstreams(self) -> int:
        """Connections to upstreams that are kept for the next request."""
        return self.call(lambda: sum(pool.idle for pool in self.front.pools.values()))

    @property
    def log_lines(self) -> list[bytes]:
        return self.log.getvalue().splitlines()

    def settle(self) -> None:
        """After a test: no connection may be left, on either side."""
        self.call(lambda: self.front.close_pools())
        wait_for(lambda: not self.front.connections, "all connections over")
        for supervisor in self.front.supervisors:
            wait_for(lambda supervisor=supervisor: supervisor.link is not None, "a worker")  # type: ignore[misc]

    def stop(self) -> None:
        try:
            self.wait(self.service.stop())
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join(SECONDS)
            self.loop.close()
