"""No process grows beyond 150 MiB while one side reads slowly or not at all."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator

import pytest

from kssl.proxy.service.spawn import ProxyProcess
from tests.acceptance.conftest import Figure, Start
from tests.acceptance.support import (
    MIB,
    MODES,
    TIMEOUT,
    curl,
    mib,
    peaks,
    wait_until_idle,
)
from tests.needs import need

pytestmark = pytest.mark.acceptance

LIMIT = 150 * MIB
_CURL_TIMED_OUT = 28


def _check(server: ProxyProcess, figure: Figure) -> None:
    front, *workers = peaks(server.pids)
    figure(f"front end {mib(front)}, worker {', '.join(map(mib, workers))}")
    assert max(front, *workers) < LIMIT


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("mode", MODES)
def test_slow_downloads(fresh_proxy: Start, figure: Figure, mode: str, count: int) -> None:
    need("curl")
    server = fresh_proxy(mode)
    slowly = ["--limit-rate", "200K", "--max-time", "5", "--output", "/dev/null"]
    # curl itself makes the URLs from the range in brackets.
    at_once = ["--parallel", "--parallel-immediate", "--parallel-max", "300"]
    url = f"{server.url}/bytes/1G?[1-{count}]"
    done = subprocess.run(
        curl(url, server.ca, *slowly, *at_once), capture_output=True, timeout=TIMEOUT, check=False
    )
    # Far from the end when its time is over; anything else is an error of ours.
    assert done.returncode == _CURL_TIMED_OUT, done.stderr.decode()
    _check(server, figure)


@pytest.mark.parametrize("mode", MODES)
def test_downloads_that_nobody_reads(fresh_proxy: Start, figure: Figure, mode: str) -> None:
    server = fresh_proxy(mode)
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            connection = stack.enter_context(_connect(server))
            connection.sendall(b"GET /bytes/1G HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until_idle(server.pids)
        _check(server, figure)


@pytest.mark.parametrize("count", [1, 100])
@pytest.mark.parametrize("mode", MODES)
def test_uploads_to_an_app_that_stops_reading(
    fresh_proxy: Start, figure: Figure, mode: str, count: int
) -> None:
    with _deaf_app() as port, contextlib.ExitStack() as stack:
        server = fresh_proxy(mode, port)
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n"
        connections = []
        for _ in range(count):
            connection = stack.enter_context(_connect(server))
            connection.sendall(head)
            connection.setblocking(False)
            connections.append(connection)
        sent = _send_until_stuck(connections)
        wait_until_idle(server.pids)
        figure(f"{mib(sent)} sent until everything stopped")
        _check(server, figure)


def _connect(server: ProxyProcess) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=server.ca)
    plain = socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT)
    return context.wrap_socket(plain, server_hostname="localhost")


def _send_until_stuck(connections: list[ssl.SSLSocket]) -> int:
    """Bytes that went out until no connection took any more for a second."""
    block, sent = bytes(256 * 1024), 0
    poller = select.poll()
    by_fd = {connection.fileno(): connection for connection in connections}
    for fd in by_fd:
        poller.register(fd, select.POLLOUT)
    while ready := poller.poll(1000):
        for fd, _ in ready:
            with contextlib.suppress(ssl.SSLWantWriteError):
                sent += by_fd[fd].send(block)
    return sent


@contextlib.contextmanager
def _deaf_app() -> Iterator[int]:
    """Accepts connections, and never reads a byte."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted.append(listener.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in accepted:
                connection.close()
