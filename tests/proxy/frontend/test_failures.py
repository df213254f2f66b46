"""The upstream fails: error pages before a response began, an honest cut afterwards."""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from kssl.proxy.upstream.connecting import Connecting
from kssl.proxy.upstream.connection import UpstreamConnection
from tests.proxy.frontend.clients import Answer, Client, ClosedError, post, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import (
    EndedError,
    UpstreamSide,
    answer_all,
    answer_then_close,
    chunked,
    response,
)

both_modes = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)


def is_page(answer: Answer, status: int, *words: bytes) -> None:
    assert answer.status == status
    assert answer.get(b"content-type") == b"text/html; charset=utf-8"
    for word in words:
        assert word in answer.body


# -- no answer at all --------------------------------------------------------------------------


def test_refused(proxy: Rig, serve: Serve) -> None:
    upstream = serve(answer_all(response()))
    upstream.stop_listening()
    with proxy.client() as client:
        for _ in range(2):  # the client's connection stays
            is_page(client.ask(), 502, b"127.0.0.1:%d" % upstream.port, b"connection refused")
        client.send(post(b"x" * 100_000))
        is_page(client.read_answer(), 502)


@both_modes
@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_no_answer_on_a_fresh_connection(proxy: Rig, serve: Serve, method: bytes, how: str) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_head()
        getattr(side, how)()

    upstream = serve(script)
    with proxy.client() as client:
        is_page(client.ask(method), 502, b"before it answered")
        is_page(client.ask(method), 502)
    assert upstream.accepted == 2  # one for each: nothing was tried again


@pytest.mark.parametrize(
    "bad",
    [
        b"garbage\r\n\r\n",
        b"\0" * 100 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\na",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000,
        b"HTTP/2 200\r\n\r\n",
    ],
    ids=["garbage", "nul", "two-lengths", "list", "both", "gzip", "101", "fold", "long", "h2"],
)
def test_a_bad_answer(proxy: Rig, serve: Serve, bad: bytes) -> None:
    upstream = serve(answer_then_close(bad))
    with proxy.client() as client:
        for _ in range(2):
            answer = client.ask()
            is_page(answer, 502, b"sent a bad answer")
        assert upstream.accepted == 2
        wait_for(lambda: len(proxy.log_lines) == 2, "two log lines")
        assert all(b'" 502 ' in line for line in proxy.log_lines)


@both_modes
def test_half_a_head(proxy: Rig, serve: Serve) -> None:
    serve(answer_then_close(b"HTTP/1.1 200 OK\r\nContent-"))
    with proxy.client() as client:
        is_page(client.ask(), 502)


def test_head_gets_a_page_without_body(proxy: Rig) -> None:
    with proxy.client() as client:
        for _ in range(2):
            assert client.ask(b"HEAD").status == 502


# -- time limits -------------------------------------------------------------------------------


@contextmanager
def full_listener() -> Iterator[int]:
    """A port whose queue is full: the kernel ignores further attempts."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        yield address[1]


@both_modes
def test_time_limits(proxy: Rig, serve: Serve) -> None:
    """All at once, since each takes more than its second."""
    hang = threading.Event()

    def script(side: UpstreamSide) -> None:
        head = side.read_head()
        if b" /stall " in head:
            side.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        side.read_to_end()

    serve(script, upstream_response_timeout=1, entity_body_timeout=1, header_wait_timeout=1,
          idle_connection_timeout=1)  # fmt: skip
    with ExitStack() as stack:
        silent, stall, body, idle, slow = (stack.enter_context(proxy.client()) for _ in range(5))
        silent.send(request())
        stall.send(request(b"GET", b"/stall"))
        body.send(request(b"POST", b"/", b"Content-Length: 10") + b"abc")
        slow.send(b"GET / HTTP/1.1\r\nX-Slow: ")

        def trickle() -> None:
            # Bytes keep coming; that must not extend the limit of the head.
            with suppress(OSError):
                while not hang.wait(0.1):
                    slow.send(b"x")

        thread = threading.Thread(target=trickle)
        thread.start()
        try:
            is_page(silent.read_answer(), 504, b"within UpstreamResponseTimeout (1 s)")
            is_page(body.read_answer(), 408, b"EntityBodyTimeout (1 s)")
            assert stall.read_to_end() == (
                b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nVia: 1.1 kssl\r\n\r\nabc", "cut",
            )  # fmt: skip
            assert idle.read_to_end() == (b"", "close_notify")
        finally:
            hang.set()
            thread.join()
        is_page(slow.read_answer(), 408, b"HeaderWaitTimeout (1 s)")


@both_modes
def test_connect_timeout(proxy: Rig) -> None:
    with full_listener() as port, proxy.client() as client:
        proxy.configure(port=port, upstream_connect_timeout=1)
        client.send(post(b"x" * 1000))
        is_page(client.read_answer(), 504, b"within UpstreamConnectTimeout (1 s)")


@both_modes
def test_a_connection_that_opens_after_the_504_comes_to_nobody(proxy: Rig) -> None:
    with full_listener() as port, proxy.client() as client:
        proxy.configure(port=port, upstream_connect_timeout=30, upstream_response_timeout=1)
        is_page(client.ask(), 504, b"did not answer within UpstreamResponseTimeout (1 s)")
        attempts = [item for item in gc.get_objects() if type(item) is Connecting]
        assert [attempt for attempt in attempts if attempt.connector is not None] == []


@both_modes
@pytest.mark.parametrize("kept_alive", [False, True])
def test_the_first_pause_of_a_body_is_the_clients(
    proxy: Rig, serve: Serve, kept_alive: bool
) -> None:
    """EntityBodyTimeout counts from the beginning of the body, not from its second piece."""

    def script(side: UpstreamSide) -> None:
        if kept_alive:
            side.read_request()
            side.send(response(b"abc"))
        side.read_to_end()

    serve(script, entity_body_timeout=1, upstream_response_timeout=60)
    with proxy.client() as client:
        if kept_alive:
            assert client.ask().body == b"abc"
        client.send(request(b"POST", b"/", b"Content-Length: 10") + b"abc")
        is_page(client.read_answer(), 408, b"body")


@both_modes
def test_the_app_has_its_own_time_behind_a_body(proxy: Rig, serve: Serve) -> None:
    """Once the last piece is here it is the app's turn, for UpstreamResponseTimeout."""
    began = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        began.set()
        side.read_to_end()

    serve(script, entity_body_timeout=60, upstream_response_timeout=1)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 6") + b"abc")
        assert began.wait(60)
        client.send(b"def")
        is_page(client.read_answer(), 504, b"did not answer within UpstreamResponseTimeout (1 s)")


@both_modes
def test_an_upstream_that_stops_reading_is_not_the_clients_fault(proxy: Rig, serve: Serve) -> None:
    release = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        release.wait(10)

    serve(script, entity_body_timeout=1, upstream_response_timeout=1)
    with proxy.client() as client:
        size = 32 << 20
        client.send(request(b"POST", b"/", b"Content-Length: %d" % size))
        records = client.records(b"x" * size)  # not in the thread: the client is for one at a time
        sender = threading.Thread(target=_send_until_refused, args=(client, records))
        sender.start()
        try:
            assert client.read_answer().status == 504
        finally:
            release.set()
            with suppress(OSError):  # it may be closed already
                client.sock.shutdown(socket.SHUT_RDWR)
            sender.join()


def _send_until_refused(client: Client, records: bytes) -> None:
    with suppress(OSError):
        client.sock.sendall(records)


# -- a kept-alive connection that the upstream closes ------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
def test_a_stale_connection_is_tried_again(
    proxy: Rig, serve: Serve, method: bytes, how: str
) -> None:
    """It is closed as the request goes out: the app has certainly not answered it."""

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(response(b"", b"X-Side: %d" % side.number))
        if side.number == 0:
            side.read_request()
            getattr(side, how)()
        else:
            side.read_to_end()

    upstream = serve(script)
    with proxy.client() as client:
        assert client.ask(method).get(b"x-side") == b"0"
        assert client.ask(method).get(b"x-side") == b"1"
        wait_for(lambda: len(proxy.log_lines) == 2, "two log lines")
    first, second = upstream.sides
    assert bytes(first.received) == bytes(second.received) * 2


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_post_is_never_sent_twice(proxy: Rig, serve: Serve, how: str) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(response(b"ok"))
        side.read_request()
        getattr(side, how)()

    upstream = serve(script)
    with proxy.client() as client:
        client.send(post(b"1"))
        assert client.read_answer().body == b"ok"
        client.send(post(b"2"))
        is_page(client.read_answer(), 502)
    assert upstream.accepted == 1


@both_modes
def test_not_tried_again_once_the_answer_began(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(response(b"ok"))
        side.read_request()
        side.send(b"HTTP/1.1 200 OK\r\nConte")

    upstream = serve(script)
    with proxy.client() as client:
        client.ask()
        is_page(client.ask(), 502)
    assert upstream.accepted == 1


@both_modes
def test_tried_again_only_once(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        if side.number == 0:
            side.send(response(b"ok"))
            side.read_request()

    upstream = serve(script)
    with proxy.client() as client:
        client.ask()
        is_page(client.ask(), 502)
    assert upstream.accepted == 2


@both_modes
def test_closed_while_idle_is_noticed(proxy: Rig, serve: Serve) -> None:
    upstream = serve(answer_then_close(response(b"ok")))
    with proxy.client() as client:
        for count in range(1, 4):
            client.send(post(b"1"))
            assert client.read_answer().body == b"ok"
            wait_for(
                lambda: not any(pool._idle for pool in proxy.front.pools.values()),
                "the pool notices",
            )
            assert upstream.accepted == count


# -- truncation --------------------------------------------------------------------------------

HALVES = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
    "length-nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "in-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    "in-trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: 1\r\n",
}


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES.keys())
def test_a_response_cut_short(proxy: Rig, serve: Serve, half: bytes, how: str) -> None:
    seen = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(half)
        assert seen.wait(60)
        getattr(side, how)()

    serve(script)
    with proxy.client() as client:
        client.send(request())
        head = client.take_until(b"\r\n\r\n")
        seen.set()
        body, ending = client.read_to_end()
        assert ending == "cut"
        assert b"0\r\n" not in body
        assert head.startswith(b"HTTP/1.1 200 ")
        wait_for(lambda: proxy.log_lines, "the log line")
        assert b'" 200 ' in proxy.log_lines[0]


@both_modes
def test_a_reset_in_a_response_that_ends_with_the_connection(proxy: Rig, serve: Serve) -> None:
    seen = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        assert seen.wait(60)
        side.reset()

    serve(script)
    for version in (b"1.1", b"1.0"):
        seen.clear()
        with proxy.client() as client:
            client.send(request(version=version))
            client.take_until(b"abc")
            seen.set()
            body, ending = client.read_to_end()
            assert ending == "cut"
            assert b"0\r\n" not in body


@pytest.mark.parametrize("how", ["close_notify", "fin", "reset"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_request_cut_short(proxy: Rig, serve: Serve, framing: str, how: str) -> None:
    began = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.take(3)
        began.set()
        with pytest.raises(EndedError):
            side.take_until(b"0\r\n\r\n")
        assert b"\r\n0\r\n" not in side.unread

    upstream = serve(script)
    with proxy.client() as client:
        if framing == "length":
            client.send(request(b"POST", b"/", b"Content-Length: 10") + b"abc")
        else:
            client.send(
                request(b"POST", b"/", b"Transfer-Encoding: chunked") + chunked([b"abc"])[:-5]
            )
        assert began.wait(60)
        getattr(client, how)()
        assert upstream.sides[0].ended.wait(60)
        wait_for(lambda: proxy.log_lines, "the log line")
        assert b'" 499 ' in proxy.log_lines[0]


@both_modes
def test_a_bad_chunk_ends_the_upstreams_connection(proxy: Rig, serve: Serve) -> None:
    began = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.take_until(b"abc\r\n")
        began.set()
        with pytest.raises(EndedError):
            side.take_until(b"0\r\n\r\n")

    upstream = serve(script)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        assert began.wait(60)
        client.send(b"zz\r\n")
        is_page(client.read_answer(), 400)
        with pytest.raises(ClosedError):
            client.more()
        assert upstream.sides[0].ended.wait(60)


@both_modes
def test_a_client_that_leaves_while_it_downloads(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 40))
        try:
            while True:
                side.send(b"x" * 100_000)
        except ConnectionError:
            side.ended.set()

    upstream = serve(script)
    with proxy.client() as client:
        client.send(request())
        client.take(100_000)
        client.reset()
    assert upstream.sides[0].ended.wait(60)


# -- mistakes of ours --------------------------------------------------------------------------


@both_modes
@pytest.mark.parametrize("where", ["parse_request", "parse_response", "request_body"])
def test_an_internal_error_does_not_hang_the_client(
    proxy: Rig,
    serve: Serve,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    serve(answer_all(response(b"abc")))

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(type(proxy.front.codec), where, fail)
    with proxy.client() as client:
        client.send(post(b"body") if where == "request_body" else request())
        assert client.read_to_end() == (b"", "cut")
    tracebacks = [record for record in caplog.records if record.exc_info]
    assert len(tracebacks) == 1
    assert "a mistake" in caplog.text
    monkeypatch.undo()
    with proxy.client() as client:
        assert client.ask().body == b"abc"


@both_modes
def test_a_mistake_in_an_engine_ends_the_connection(
    proxy: Rig, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    """No edge would tell again what it has missed."""
    serve(answer_all(response(b"abc")))

    def fail() -> None:
        raise RuntimeError("a mistake")

    with proxy.client() as client:
        assert client.ask().body == b"abc"
        (connection,) = proxy.front.connections
        connection.channel._on_readable = fail
        client.send(request())
        assert client.read_to_end() == (b"", "cut")
    assert "a mistake" in caplog.text
    wait_for(lambda: not proxy.front.connections, "the connection is forgotten")


@both_modes
def test_a_mistake_at_the_upstream_ends_the_exchange(
    proxy: Rig, serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    serve(answer_all(response(b"abc")))

    def fail(_: object) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr(UpstreamConnection, "_readable", fail)
    with proxy.client() as client:
        assert client.ask().status == 502
    assert "a mistake" in caplog.text
