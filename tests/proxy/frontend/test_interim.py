"""Interim (1xx) answers are bounded in number, in time, and by a client that does not read."""

from __future__ import annotations

import threading

import pytest

from kssl.proxy.frontend import exchange
from kssl.proxy.frontend.answering import Answering
from kssl.proxy.frontend.exchange import Exchange
from kssl.proxy.upstream.connection import RECEIVE_SIZE
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import UpstreamSide, response

pytestmark = pytest.mark.parametrize(
    "proxy",
    [("kernel", "httptools"), ("user", "h11")],
    ids=["kernel-httptools", "user-h11"],
    indirect=True,
)

HINT = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
LARGE = b"HTTP/1.1 103 Early Hints\r\n" + (b"X: " + b"a" * 15_000 + b"\r\n") * 4 + b"\r\n"
MOST = 100


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("together", [True, False])
def test_so_many_and_no_more(proxy: Rig, serve: Serve, version: bytes, together: bool) -> None:
    """Also to a client of HTTP/1.0, which gets none of them."""

    def script(side: UpstreamSide) -> None:
        side.read_request()
        number = MOST + (side.number > 0)
        side.send(*[HINT * number] if together else [HINT] * number)
        side.send(response(b"whole", b"Connection: close"))

    serve(script)
    ask = request(b"GET", b"/", b"Connection: keep-alive", version=version)
    passed = MOST if version == b"1.1" else 0
    with proxy.client() as client:
        client.send(ask)
        answer = client.read_answer()
        assert (answer.status, answer.body, len(answer.interim)) == (200, b"whole", passed)
        client.send(ask)
        answer = client.read_answer()
        assert answer.status == 502
        assert len(answer.interim) <= passed  # those that came with the one too many do not pass
        assert b"more than 100 interim" in answer.body
    assert len(proxy.errors.of("Upstream")) == 1


def test_they_count_from_the_clients_last_bytes(proxy: Rig, serve: Serve) -> None:
    """For apps that tell of an upload's progress."""
    rounds = 3

    def script(side: UpstreamSide) -> None:
        side.read_head()
        for _ in range(rounds):
            side.take(1)
            side.send(HINT * (MOST - 1))
        side.send(response(b"whole"))

    serve(script)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: %d" % rounds))
        for _ in range(rounds):
            client.send(b"x")
            for _ in range(MOST - 1):
                assert client.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 103 ")
        assert client.read_answer().body == b"whole"


def test_a_client_that_does_not_read_pauses_them(
    proxy: Rig, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 400  # 24 MB: more than all the kernel's buffers on the way
    monkeypatch.setattr(exchange, "MAX_INTERIM", number, raising=False)
    sent, backlogs = threading.Event(), [0]
    write = Answering.write

    def watched(connection: Answering, data: bytes) -> None:
        write(connection, data)
        backlogs.append(connection.engine.backlog)

    monkeypatch.setattr(Answering, "write", watched)

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(*[LARGE] * number)
        sent.set()
        side.send(response(b"whole"))

    serve(script)

    def paused() -> bool:
        return any(
            user._upstream.paused
            for connection in proxy.front.connections
            if isinstance(user := connection._http and connection._http._exchange, Exchange)
            and user._upstream is not None
        )

    with proxy.client(receive_buffer=16384) as client:
        client.send(request())
        wait_for(lambda: sent.is_set() or proxy.call(paused), "the app waits")
        answer = client.read_answer()
    assert (len(answer.interim), answer.body) == (number, b"whole")
    # What was read at once, what the engine may take, and a head that was half there.
    assert max(backlogs) < 3 * RECEIVE_SIZE


def test_a_client_that_never_reads_them(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(*[LARGE] * MOST)
        side.read_to_end()

    serve(script, entity_body_timeout=1, upstream_response_timeout=60)
    with proxy.client(receive_buffer=4096) as client:
        client.send(request())
        wait_for(lambda: proxy.errors.of("Timer_Response"), "the end of its time")
        assert client.read_to_end()[1] == "cut"
    wait_for(lambda: proxy.log_lines, "a line of the access log")
    assert proxy.log_lines[0].split(b'" ')[1].startswith(b"499 ")


@pytest.mark.parametrize("what", ["interim", "head"])
def test_they_do_not_extend_the_time_for_the_answer(proxy: Rig, serve: Serve, what: str) -> None:
    """Nor does a head that comes byte by byte."""
    piece = HINT if what == "interim" else b"a"
    never = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_request()
        if what == "head":
            side.send(b"HTTP/1.1 200 OK\r\nX: ")
        for _ in range(MOST - 1):  # some ten seconds, unless the connection is closed before
            side.send(piece)
            never.wait(0.1)
        side.send(b"\r\nContent-Length: 0\r\n\r\n" if what == "head" else response())

    serve(script, upstream_response_timeout=1)
    with proxy.client() as client:
        client.send(request())
        assert client.read_answer().status == 504


def test_after_100_it_is_the_clients_turn(proxy: Rig, serve: Serve) -> None:
    """Its body may take longer than the app's answer."""

    def script(side: UpstreamSide) -> None:
        head = side.read_head()
        side.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert side.read_body(head) == b"hello"
        side.send(response(b"whole"))

    serve(script, upstream_response_timeout=1, entity_body_timeout=60)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 5", b"Expect: 100-continue"))
        assert client.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        (deadline,) = proxy.call(
            lambda: [each._http.deadline for each in proxy.front.connections if each._http]
        )
        assert deadline > proxy.front.response_deadline + 30
        client.send(b"hello")
        assert client.read_answer().body == b"whole"
