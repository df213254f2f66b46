"""Who reads slowly pauses the other side; the memory of the front end does not grow."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy
from tests.proxy.frontend.clients import Client, request
from tests.proxy.frontend.upstreams import Upstream, UpstreamSide, response

SIZE = 64 << 20
PIECE = bytes(range(256)) * 4096  # 1 MiB
GROWTH = 20 << 20  # bytes that either process may grow by
STUCK = 0.3  # seconds without progress after which a sender counts as paused


def push(sock: socket.socket, data: bytes, when_paused: Callable[[], None]) -> None:
    """Sends everything; calls ``when_paused`` when the other side takes nothing for a while, the
    first time only."""
    view = memoryview(data)
    while view:
        sock.settimeout(15 if paused.is_set() else STUCK)
        try:
            view = view[sock.send(view) :]
        except TimeoutError:
            if paused.is_set():
                raise
            when_paused()
            paused.set()


def memory(proxy: ProxyProcess) -> list[int]:
    """VmRSS of the front end and its worker, in bytes."""
    return [
        int(line.split()[1]) * 1024
        for pid in proxy.pids
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("VmRSS:")
    ]


def assert_bounded(before: list[int], after: list[int]) -> None:
    growth = [now - then for then, now in zip(before, after, strict=True)]
    assert max(growth) < GROWTH, growth


class Pair:
    """A proxy process and its scripted upstream."""

    def __init__(self, proxy: ProxyProcess, upstream: Upstream) -> None:
        self.proxy = proxy
        self.upstream = upstream
        assert proxy.ca is not None
        self._context = ssl.create_default_context(cafile=proxy.ca)

    def client(self) -> Client:
        return Client(self.proxy.port, self._context, receive_buffer=65536)


paused = threading.Event()
go_on = threading.Event()


def script(side: UpstreamSide) -> None:
    while True:
        head = side.read_head()
        if head.startswith(b"GET /small "):
            side.send(response(b"small"))
        elif head.startswith(b"GET "):
            side.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE)
            for _ in range(SIZE // len(PIECE)):
                push(side.sock, PIECE, lambda: None)
            side.sock.settimeout(60)
        else:
            assert go_on.wait(60)
            digest, left = hashlib.sha256(), SIZE
            while left:
                piece = side.take(min(left, 1 << 16))
                del side.received[:]
                digest.update(piece)
                left -= len(piece)
            side.send(response(digest.hexdigest().encode()))


@pytest.fixture(params=["kernel", "user"], scope="module")
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    state = tmp_path_factory.mktemp("state")
    with (
        Upstream(script) as upstream,
        spawn_proxy(str(upstream.port), "--mode", request.param, state_dir=state) as proxy,
    ):
        yield Pair(proxy, upstream)


@pytest.fixture(autouse=True)
def _events() -> None:
    paused.clear()
    go_on.clear()


def test_a_client_that_stops_reading(pair: Pair) -> None:
    with pair.client() as client:
        client.ask(b"GET", b"/small")
        before = memory(pair.proxy)
        client.send(request())
        client.take_until(b"\r\n\r\n")
        assert paused.wait(60), "the upstream was never paused"
        assert_bounded(before, memory(pair.proxy))
        digest = hashlib.sha256()
        for _ in range(SIZE // len(PIECE)):
            digest.update(client.take(len(PIECE)))
        assert digest.digest() == hashlib.sha256(PIECE * (SIZE // len(PIECE))).digest()
        assert_bounded(before, memory(pair.proxy))
        assert client.ask(b"GET", b"/small").body == b"small"


def test_an_upstream_that_stops_reading(pair: Pair) -> None:
    with pair.client() as client:
        client.ask(b"GET", b"/small")
        before = memory(pair.proxy)
        client.send(request(b"POST", b"/", b"Content-Length: %d" % SIZE))
        digest = hashlib.sha256()

        def when_paused() -> None:
            assert_bounded(before, memory(pair.proxy))
            go_on.set()

        for _ in range(SIZE // len(PIECE)):
            digest.update(PIECE)
            push(client.sock, client.records(PIECE), when_paused)
        client.sock.settimeout(60)
        assert paused.is_set(), "the client was never paused"
        assert client.read_answer().body.decode() == digest.hexdigest()
        assert client.ask(b"GET", b"/small").body == b"small"
