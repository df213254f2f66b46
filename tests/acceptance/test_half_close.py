"""A client that has said all it wants to say, and goes on listening.

Since TLS 1.3 its close_notify ends its own direction alone (RFC 9846 §6.1), so a reply in progress
comes whole. In TLS 1.2 it ends both (RFC 5246 §7.2.1): it is answered, and the rest is dropped.
"""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from collections.abc import Callable, Iterator
from typing import Literal

import pytest

from kssl.config.devca import DevelopmentCA
from kssl.proxy.demo.process import start_demo_app
from kssl.proxy.demo.stream import stream_sha256
from kssl.proxy.service.spawn import ProxyProcess, spawn_proxy
from tests.acceptance.conftest import Figure
from tests.acceptance.services import Running
from tests.acceptance.support import MIB, MODES, mib, wait_until_idle
from tests.acceptance.visitors import VERSIONS
from tests.proxy.frontend.clients import Client, request

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.parametrize("app", ["http", "https"]),
    pytest.mark.parametrize("mode", MODES),
]

SIZE = 10 * MIB
_SMALL_BUFFER = 16 * 1024  # bytes: most of the reply has to wait at the proxy, or before it

Framing = Literal["length", "chunked", "until close"]
REQUESTS: dict[Framing, bytes] = {
    "length": request(b"GET", b"/bytes/%d" % SIZE),
    "chunked": request(b"GET", b"/bytes/%d?chunked=1" % SIZE),
    "until close": request(b"GET", b"/bytes/%d?chunked=1" % SIZE, version=b"1.0"),
}

Serve = Callable[[str, str], Running]


@pytest.fixture(scope="module")
def serve(app_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """``serve(mode, app)``: started when it is asked for first."""
    state = tmp_path_factory.mktemp("state")
    ca = DevelopmentCA.open_or_create(state)
    certificate, key = map(str, ca.ensure_leaf())
    running: dict[tuple[str, str], ProxyProcess] = {}
    with (
        contextlib.ExitStack() as stack,
        start_demo_app(certfile=certificate, keyfile=key) as secure,
    ):
        targets = {
            "http": [str(app_port)],
            "https": [f"https://localhost:{secure.port}", "--upstream-ca", str(ca.ca_path)],
        }

        def get(mode: str, app: str) -> Running:
            if (mode, app) not in running:
                target, *options = targets[app]
                running[mode, app] = stack.enter_context(
                    spawn_proxy(target, "--mode", mode, *options, state_dir=state)
                )
            return Running(running[mode, app], state)

        yield get


class Talker(Client):
    def close_notify(self) -> None:
        """Behind what has come: `unwrap` would take that for an error."""
        with contextlib.suppress(ssl.SSLWantReadError):
            while True:
                self.unread += self._tls.read(1 << 18)
        super().close_notify()


def connect(server: Running, version: str, *, slowly: bool) -> Client:
    context = ssl.create_default_context(cafile=server.ca)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    return Talker(server.port, context, receive_buffer=_SMALL_BUFFER if slowly else None)


def check_head(head: bytes, framing: Framing) -> None:
    """The reply is framed as the test wants it."""
    lower = head.lower()
    assert lower.startswith(b"http/1.1 200 ")
    assert (b"\r\ncontent-length:" in lower) == (framing == "length")
    assert (b"\r\ntransfer-encoding: chunked\r\n" in lower) == (framing == "chunked")


@pytest.mark.parametrize("slowly", [False, True], ids=["", "slowly"])
@pytest.mark.parametrize("framing", REQUESTS)
def test_tls13_the_whole_reply_comes(
    serve: Serve, figure: Figure, mode: str, app: str, framing: Framing, slowly: bool
) -> None:
    server = serve(mode, app)
    before = server.wait_until_empty()["closes"]
    with connect(server, "1.3", slowly=slowly) as client:
        client.send(REQUESTS[framing])
        client.close_notify()
        if slowly:
            for size in (MIB, 2 * MIB):  # stands still until everybody waits for it
                wait_until_idle(server.process.pids)
                while len(client.unread) < size:
                    client.more()
        client.unread[:0] = head = client.take_until(b"\r\n\r\n")
        check_head(head, framing)
        if framing == "until close":
            client.take_until(b"\r\n\r\n")
            body, ending = client.read_to_end()
        else:
            body = client.read_answer().body
            rest, ending = client.read_to_end()
            assert rest == b""
    assert (len(body), ending) == (SIZE, "close_notify")
    assert hashlib.sha256(body).hexdigest() == stream_sha256(SIZE)
    check_counted(server, before)
    figure(f"{mib(len(body))} whole behind the client's close_notify")


@pytest.mark.parametrize("framing", REQUESTS)
def test_tls12_both_directions_end(
    serve: Serve, figure: Figure, mode: str, app: str, framing: Framing
) -> None:
    server = serve(mode, app)
    before = server.wait_until_empty()["closes"]
    with connect(server, "1.2", slowly=True) as client:
        client.send(REQUESTS[framing])
        head = client.take_until(b"\r\n\r\n")
        check_head(head, framing)
        wait_until_idle(server.process.pids)
        client.close_notify()
        body, ending = client.read_to_end()
    # What was on its way already still comes, then the answer.
    assert len(body) < SIZE
    assert ending == "close_notify"
    check_counted(server, before)
    figure(f"answered after {mib(len(body))} of {mib(SIZE)}")


def check_counted(server: Running, before: dict[str, dict[str, dict[str, int]]]) -> None:
    """One connection of a client has ended, by close_notify both ways."""
    now = server.wait_until_empty()["closes"]
    for way in ("received", "sent"):
        old, new = before["client"][way], now["client"][way]
        assert {end: new[end] - old[end] for end in new if new[end] != old[end]} == {
            "close_notify": 1
        }
