"""101 Switching Protocols: a tunnel, and WebSocket through it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websockets

from kssl.proxy.frontend import tunnel
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import UpstreamSide, answer_all, response

ASK = request(b"GET", b"/chat", b"Connection: keep-alive, Upgrade", b"Upgrade: Echo/1")
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\nX-A: b\r\n\r\n"
)


def echo_tunnel(side: UpstreamSide) -> None:
    """Sends ``hello`` right behind the 101, then echoes; ``bye`` after the client's end."""
    head = side.read_head()
    assert b"\r\nConnection: upgrade\r\nUpgrade: Echo/1\r\n" in head
    side.send(SWITCH + b"hello")
    while True:
        try:
            if not side.unread:
                side._more()
        except BaseException:
            side.send(b"bye")
            raise
        side.send(bytes(side.unread))
        side.unread.clear()


def test_a_tunnel(proxy: Rig, serve: Serve) -> None:
    serve(echo_tunnel)
    with proxy.client() as client:
        client.send(ASK + b"early")  # right behind the request, before the 101
        answer = client.read_answer()
        assert answer.status == 101
        assert answer.get(b"upgrade") == b"echo/1"
        assert answer.get(b"x-a") == b"b"
        assert client.take(5) == b"hello"
        assert client.take(5) == b"early"
        big = bytes(range(256)) * 4096
        sender = threading.Thread(target=client.sock.sendall, args=(client.records(big),))
        sender.start()
        assert client.take(len(big)) == big
        sender.join()
        client.close_notify()
        client.fin()
        assert client.read_to_end() == (b"bye", "close_notify")
    wait_for(lambda: proxy.log_lines, "the log line")
    (line,) = proxy.log_lines
    sent = len(b"hello" + b"early" + big + b"bye")
    assert re.search(rb'"GET /chat HTTP/1\.1" 101 %d "-" "-" TLSv1\.3 ' % sent, line)


@pytest.mark.parametrize(("how", "needed"), [("close_notify", 1), ("fin", 0)])
def test_the_client_ends_its_side_before_the_answer(
    proxy: Rig, serve: Serve, how: str, needed: int
) -> None:
    go_on = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        assert go_on.wait(60)
        side.send(SWITCH)
        side.read_to_end()
        side.send(b"got " + side.unread)

    serve(script, enable_ssl_close_notify=needed)
    with proxy.client() as client:
        client.send(ASK + b"all")
        getattr(client, how)()
        wait_for(lambda: any(c._http and c._http._peer_closed for c in proxy.front.connections),
                 "the proxy knows")  # fmt: skip
        go_on.set()
        assert client.read_answer().status == 101
        assert client.read_to_end() == (b"got all", "close_notify" if needed else "cut")


def test_the_upstream_ends(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(SWITCH, b"bye")

    serve(script)
    with proxy.client() as client:
        client.send(ASK)
        assert client.read_answer().status == 101
        assert client.read_to_end() == (b"bye", "close_notify")


def test_the_upstream_breaks(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(SWITCH, b"bye")
        side.take(1)
        side.reset()

    serve(script)
    with proxy.client() as client:
        client.send(ASK)
        client.take_until(b"\r\n\r\nbye")
        client.send(b"x")
        assert client.read_to_end() == (b"", "cut")


def test_the_upstream_breaks_while_it_is_written_to(proxy: Rig, serve: Serve) -> None:
    """The error is met by what still waited to be sent; to the reader it must not look like FIN."""
    waits = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(SWITCH, b"bye")
        assert waits.wait(60)
        side.reset()

    def backlog() -> bool:
        tunnels = [c._http and c._http._tunnel for c in proxy.front.connections]
        return any(t and t._upstream and t._upstream.channel.backlog for t in tunnels)

    def send() -> None:
        with contextlib.suppress(OSError):
            while True:
                client.send(bytes(65536))

    serve(script)
    with proxy.client() as client:
        client.send(ASK)
        client.take_until(b"\r\n\r\nbye")
        sender = threading.Thread(target=send)
        sender.start()
        wait_for(backlog, "the proxy cannot send on")
        waits.set()
        sender.join()
        assert client.read_to_end() == (b"", "cut")


def test_a_client_that_breaks(proxy: Rig, serve: Serve) -> None:
    upstream = serve(echo_tunnel)
    with proxy.client() as client:
        client.send(ASK)
        client.take_until(b"\r\n\r\nhello")
        client.reset()
        assert upstream.sides[0].ended.wait(60)


def test_refused(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(response(b"no"), response(b"next")))
    with proxy.client() as client:
        client.send(ASK)
        assert client.read_answer().body == b"no"
        assert client.ask().body == b"next"


@pytest.mark.parametrize("size", [0, 100, 100_000])
def test_websocket(proxy: Rig, size: int) -> None:
    # asyncio's client: the one with threads reads and writes one SSL object at the same time.
    async def echo(websocket: ServerConnection) -> None:
        async for message in websocket:
            await websocket.send(message)

    async def test() -> None:
        async with asyncio.timeout(60), serve_websockets(echo, "127.0.0.1", 0) as server:
            (listener,) = server.sockets
            await asyncio.to_thread(proxy.configure, port=listener.getsockname()[1])
            url = f"wss://localhost:{proxy.port}/"
            async with connect(url, ssl=proxy.context, proxy=None) as websocket:
                for i in range(5):
                    message = bytes([i]) * size
                    await websocket.send(message)
                    assert await websocket.recv() == message
                await websocket.send("text")
                assert await websocket.recv() == "text"
            assert websocket.close_code == 1000

    asyncio.run(test())


def test_a_tunnel_whose_client_has_ended_does_not_stay_for_ever(
    proxy: Rig, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app does not care that its client is gone, and says nothing."""
    monkeypatch.setattr(tunnel, "HALF_CLOSED", 0.5)
    given_up = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(SWITCH)
        given_up.wait(20)

    serve(script)
    with proxy.client() as client:
        client.send(ASK)
        client.take_until(b"\r\n\r\n")
        client.sock.shutdown(socket.SHUT_WR)
        try:
            wait_for(lambda: not proxy.front.connections, "the tunnel is given up")
        finally:
            given_up.set()
