"""Limits, the end of the service, and the death of its worker."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kssl.config.errors import ConfigError
from kssl.config.model import Binding, CertificateFiles, Configuration
from kssl.config.target import Listen
from kssl.proxy.service.service import Service, ServiceOptions
from tests.processes import halt
from tests.proxy.frontend.clients import CutError, post, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import NOBODY, Rig, one_site, wait_for
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide, answer_all, response

both_modes = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)
one_mode = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools")], ids=["kernel"], indirect=True
)


# -- limits ------------------------------------------------------------------------------------


@one_mode
def test_max_connections(proxy: Rig, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    serve(answer_all(response(b"abc")))
    # The table's minimum is 1024; what is tested is the comparison.
    few = replace(proxy.front.parameters)
    object.__setattr__(few, "max_connections", 2)
    proxy.front.parameters = few
    wait_for(lambda: proxy.front.open_connections == 0, "those of other tests are closed")
    with proxy.client() as first, proxy.client() as second:
        for _ in range(3):
            with pytest.raises((CutError, ssl.SSLError, ConnectionError)):
                proxy.client()
        assert caplog.text.count("MaxConnections (2) reached") == 1
        assert first.ask().body == second.ask().body == b"abc"
        first.sock.close()
        wait_for(lambda: proxy.front.open_connections < 2, "the first is closed")
        with proxy.client() as third:
            assert third.ask().body == b"abc"


@one_mode
def test_out_of_file_descriptors(
    proxy: Rig, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever waits in the queue is served when there are descriptors again."""
    serve(answer_all(response(b"abc")))

    class Exhausted:
        """The listening socket, without descriptors for two attempts."""

        def __init__(self, sock: socket.socket) -> None:
            self.sock = sock
            self.left = 2
            self.attempts = 0

        def accept(self) -> tuple[socket.socket, object]:
            self.attempts += 1
            if self.left:
                self.left -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return self.sock.accept()

        def fileno(self) -> int:
            return self.sock.fileno()

    listener = proxy.service._listeners[0]
    real = listener._sock
    fake = Exhausted(real)
    listener._sock = fake  # type: ignore[assignment]
    try:
        with proxy.client() as client:
            assert client.ask().body == b"abc"
    finally:
        listener._sock = real
    assert fake.attempts == 4  # twice nothing, then one, then no other
    assert "cannot accept: Too many open files" in caplog.text


# -- stop --------------------------------------------------------------------------------------


@contextmanager
def own_rig(mode: str, tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(mode, tmp_path)
    try:
        yield rig
    finally:
        rig.stop()


@pytest.mark.parametrize("mode", ["kernel", "user"])
def test_stop(mode: str, tmp_path: Path) -> None:
    """Idle connections get close_notify; a request in progress, the rest of its response."""
    go_on = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
        assert go_on.wait(60)
        side.send(b"y" * 100_000)
        side.read_to_end()

    with own_rig(mode, tmp_path) as rig, Upstream(script) as upstream, ExitStack() as stack:
        rig.configure(port=upstream.port)
        idle, early, busy = (stack.enter_context(rig.client()) for _ in range(3))
        silent = stack.enter_context(socket.create_connection(("127.0.0.1", rig.port)))
        silent.settimeout(60)
        busy.send(request())
        busy.take_until(b"\r\n\r\n")
        wait_for(lambda: established(rig) == 3 and len(rig.front.connections) == 4, "all")
        early.send(b"GET ")
        pids = [supervisor.pid for supervisor in rig.front.supervisors]
        stopped: Future[None] = asyncio.run_coroutine_threadsafe(rig.service.stop(), rig.loop)
        assert idle.read_to_end() == (b"", "close_notify")
        assert silent.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", rig.port)).close()
        assert not stopped.done()
        go_on.set()
        assert busy.take(200_000) == b"x" * 100_000 + b"y" * 100_000
        assert busy.read_to_end() == (b"", "close_notify")
        early.sock.close()
        stopped.result(60)
        assert not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("mode", ["kernel", "user"])
def test_stop_with_idle_connections_only(mode: str, tmp_path: Path) -> None:
    with own_rig(mode, tmp_path) as rig, rig.client() as first, rig.client() as second:
        wait_for(lambda: established(rig) == 2, "both handshakes")
        rig.wait(rig.service.stop())
        for client in (first, second):
            assert client.read_to_end() == (b"", "close_notify")


@pytest.mark.parametrize("mode", ["kernel", "user"])
def test_a_response_that_stop_does_not_wait_for(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It must not look complete, even to a client of HTTP/1.0 that reads until the close."""
    monkeypatch.setattr("kssl.proxy.service.service.Service.stop_grace", 0.05)

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        side.read_to_end()

    with own_rig(mode, tmp_path) as rig, Upstream(script) as upstream, rig.client() as client:
        rig.configure(port=upstream.port)
        client.send(request(version=b"1.0"))
        client.take_until(b"abc")
        rig.wait(rig.service.stop())
        assert client.read_to_end() == (b"", "cut")
        assert "stopping with requests in progress: 1" in caplog.text
        assert upstream.sides[0].ended.wait(60)


@pytest.mark.parametrize("mode", ["kernel", "user"])
def test_stop_waits_for_what_is_still_on_its_way(mode: str, tmp_path: Path) -> None:
    """The upstream is done long before a slow client has the response."""
    size = 8 << 20

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(response(b"x" * size))
        side.read_to_end()

    with own_rig(mode, tmp_path) as rig, Upstream(script) as upstream:
        rig.configure(port=upstream.port)
        with rig.client(receive_buffer=4096) as client:
            client.send(request())
            client.take(1000)
            stopped: Future[None] = asyncio.run_coroutine_threadsafe(rig.service.stop(), rig.loop)
            body, ending = client.read_to_end()
            assert len(body) > size - 1000
            assert ending == "close_notify"
        stopped.result(60)


def established(rig: Rig) -> int:
    return sum(connection._http is not None for connection in list(rig.front.connections))


def alive(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("fault", ["ready file", "certificate", "port", "codec"])
def test_a_start_that_fails_leaves_nothing(fault: str, tmp_path: Path) -> None:
    """Neither a listener nor a worker."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        options = ServiceOptions(
            configuration=Configuration(sites=(one_site(NOBODY),)), state_dir=tmp_path
        )

        def with_site(**values: Any) -> ServiceOptions:
            site = replace(one_site(NOBODY), **values)
            return replace(options, configuration=Configuration(sites=(site,)))

        if fault == "ready file":
            options = replace(options, ready_file=tmp_path / "no" / "ready.json")
        elif fault == "certificate":
            options = with_site(certificate=CertificateFiles(tmp_path / "no.pem"))
        elif fault == "port":
            options = with_site(bindings=(Binding(Listen("127.0.0.1", taken.getsockname()[1])),))
        else:
            options = replace(options, codec="h3")

        before = children()

        async def start(service: Service) -> None:
            await service.start()
            try:
                service.write_ready_file()
            finally:
                await service.stop()

        async def attempt() -> None:
            service = Service(options)
            with pytest.raises((ConfigError, ValueError)):
                await start(service)
            assert service._helpers.workers == []
            assert all(listener._sock.fileno() < 0 for listener in service._listeners)

        asyncio.run(attempt())
        assert children() == before


def children() -> list[str]:
    """Processes that we started and that still run."""
    with open(f"/proc/self/task/{threading.get_native_id()}/children") as file:
        return file.read().split()


# -- a worker dies -----------------------------------------------------------------------------


@both_modes
def test_a_worker_is_killed_in_the_middle_of_a_download(
    proxy: Rig, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()
    half = 300_000

    def script(side: UpstreamSide) -> None:
        while True:
            side.read_request()
            side.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (2 * half), b"x" * half)
            assert go_on.wait(60)
            side.send(b"y" * half)

    serve(script)
    supervisor = proxy.front.supervisors[0]
    with proxy.client() as client:
        client.send(request())
        client.take_until(b"\r\n\r\n")
        assert client.take(half) == b"x" * half
        pid, restarts = supervisor.pid, supervisor.restarts
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: supervisor.restarts == restarts + 1, "another worker")
        go_on.set()
        if proxy.mode == "kernel":
            assert client.take(half) == b"y" * half
            assert len(client.ask().body) == 2 * half  # and the next request
        else:
            assert client.read_to_end() == (b"", "cut")
            wait_for(lambda: proxy.log_lines, "the log line")
            assert b'" 499 ' in proxy.log_lines[0]
    with proxy.client() as another:
        assert len(another.ask().body) == 2 * half
    assert supervisor.pid != pid
    assert not alive(pid)
    assert not any(record.exc_info for record in caplog.records)
    assert f"crypto worker {pid} died" in caplog.text


# -- user mode ---------------------------------------------------------------------------------


@pytest.mark.parametrize("proxy", [("user", "httptools")], ids=["user"], indirect=True)
def test_a_body_that_arrives_while_reading_is_paused(proxy: Rig, serve: Serve) -> None:
    """Reading pauses while the upstream is connected to, but one batch may come all the same; if
    it completes the request, reading has to go on with the next one."""
    serve(answer_all(response(b"abc")))
    worker = proxy.front.supervisors[0].pid
    assert worker is not None
    with proxy.client() as client:
        wait_for(lambda: engine_of(proxy) is not None, "the handshake is over")
        halt(worker)
        try:
            whole = post(b"hello")
            for count, piece in enumerate((whole[:-5], whole[-5:]), 1):
                client.send(piece)
                wait_for(partial(is_unopened, proxy, count), "it is at the worker")
        finally:
            os.kill(worker, signal.SIGCONT)
        assert client.read_answer().body == b"abc"
        assert client.ask().body == b"abc"


def engine_of(proxy: Rig) -> object | None:
    connections = list(proxy.front.connections)
    http = connections[0]._http if connections else None
    return http.engine if http is not None else None


def is_unopened(proxy: Rig, frames: int) -> bool:
    return bool(frames == len(engine_of(proxy)._unopened_sizes))  # type: ignore[attr-defined]
