"""Requests there and responses back: methods, framing, sizes, heads split anywhere."""

from __future__ import annotations

import re
import socket

import pytest

from tests.proxy.frontend.clients import Client, ClosedError, post, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import (
    UpstreamSide,
    answer_all,
    answer_then_close,
    chunked,
    echo,
    response,
)

BATCH = 128 * 1024  # one read from either side
SIZES = [0, 1, 16383, 16384, 16385, BATCH - 1, BATCH, BATCH + 1, 1 << 20]

one_codec = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "httptools")], ids=["kernel", "user"], indirect=True
)


def body_of(size: int) -> bytes:
    """Not the same in any two blocks, so that lost or swapped ones show."""
    return b"".join(b"%015d\n" % i for i in range(size // 16 + 1))[:size]


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"])
def test_methods(proxy: Rig, serve: Serve, method: bytes) -> None:
    upstream = serve(echo)
    with proxy.client() as client:
        answer = client.ask(method, b"/a?b=%20c")
        assert (answer.status, answer.get(b"x-target")) == (200, b"/a?b=%20c")
        client.send(post(b"hello", method=method))
        assert client.read_answer().body == b"hello"
    assert upstream.received.startswith(method + b" /a?b=%20c HTTP/1.1\r\n")


def test_head(proxy: Rig, serve: Serve) -> None:
    """Its upstream connection is not used again: an app that sends the body all the same would
    give it to the next client."""

    def script(side: UpstreamSide) -> None:
        while True:
            head = side.read_head()
            whole = response(b"after")
            side.send(whole[: whole.index(b"after")] if head.startswith(b"HEAD") else whole)

    upstream = serve(script)
    with proxy.client() as client:
        for _ in range(2):
            assert client.ask(b"HEAD").get(b"content-length") == b"5"
            assert client.ask().body == b"after"
    assert upstream.accepted == 3  # the one of the first GET served the second HEAD


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_statuses_without_body(proxy: Rig, serve: Serve, status: bytes) -> None:
    upstream = serve(answer_all(b"HTTP/1.1 " + status + b"\r\n\r\n", response(b"after")))
    with proxy.client() as client:
        answer = client.ask()
        assert answer.status == int(status[:3])
        assert answer.get(b"transfer-encoding") is None
        assert client.ask().body == b"after"
    assert upstream.accepted == 1


@pytest.mark.parametrize("size", SIZES)
def test_sizes_with_content_length(proxy: Rig, serve: Serve, size: int) -> None:
    upstream = serve(echo)
    body = body_of(size)
    with proxy.client() as client:
        for _ in range(2):
            client.send(post(body))
            assert client.read_answer().body == body
    assert upstream.accepted == 1


@pytest.mark.parametrize("size", SIZES)
def test_sizes_chunked(proxy: Rig, serve: Serve, size: int) -> None:
    body = body_of(size)
    pieces = [body[i : i + 10_000] for i in range(0, size, 10_000)]

    def script(side: UpstreamSide) -> None:
        while True:
            _, received = side.read_request()
            assert received == body
            side.send(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n",
                chunked(pieces, b"X-Sum: 1"),
            )

    upstream = serve(script)
    with proxy.client() as client:
        for _ in range(2):
            head = request(b"POST", b"/", b"Transfer-Encoding: chunked")
            client.send(head + chunked(pieces))
            answer = client.read_answer()
            assert answer.body == body
            assert answer.trailers == b"X-Sum: 1\r\n"
            assert answer.get(b"trailer") == b"X-Sum"
    assert upstream.accepted == 1


@pytest.mark.parametrize("size", SIZES)
def test_a_response_that_ends_with_the_connection(proxy: Rig, serve: Serve, size: int) -> None:
    body = body_of(size)
    upstream = serve(answer_then_close(b"HTTP/1.1 200 OK\r\n\r\n" + body))
    with proxy.client() as client:
        for _ in range(2):
            answer = client.ask()
            assert answer.get(b"transfer-encoding") == b"chunked"
            assert answer.body == body
    assert upstream.accepted == 2


@pytest.mark.parametrize("keep_alive", [True, False])
def test_http10_gets_what_ends_with_the_connection(
    proxy: Rig, serve: Serve, keep_alive: bool
) -> None:
    serve(answer_then_close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"
                            b"0\r\n\r\n"))  # fmt: skip
    with proxy.client() as client:
        fields = (b"Connection: keep-alive",) if keep_alive else ()
        client.send(request(b"GET", b"/", *fields, version=b"1.0"))
        answer = client.read_answer()
        assert answer.get(b"transfer-encoding") is None
        assert answer.body == b"abc"


def test_http10_keep_alive(proxy: Rig, serve: Serve) -> None:
    upstream = serve(answer_all(response(b"abc")))
    ask = request(b"GET", b"/", b"Connection: keep-alive", version=b"1.0")
    with proxy.client() as client:
        for _ in range(3):
            client.send(ask)
            answer = client.read_answer()
            assert (answer.body, answer.get(b"connection")) == (b"abc", b"keep-alive")
    assert upstream.accepted == 1
    assert b" HTTP/1.1\r\n" in upstream.received


def test_http10_without_keep_alive_and_without_host(proxy: Rig, serve: Serve) -> None:
    upstream = serve(answer_all(response(b"abc")))
    with proxy.client() as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.read_answer().body == b"abc"
        with pytest.raises(ClosedError):
            client.more()
    assert b"\r\nHost: localhost\r\n" in upstream.received


def test_connection_close(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(response(b"abc")))
    with proxy.client() as client:
        answer = client.ask(b"GET", b"/", b"Connection: close")
        assert (answer.body, answer.get(b"connection")) == (b"abc", b"close")
        with pytest.raises(ClosedError):
            client.more()


def test_keep_alive_on_both_sides(proxy: Rig, serve: Serve) -> None:
    upstream = serve(answer_all(response(b"abc")))
    for _ in range(3):
        with proxy.client() as client:
            for _ in range(5):
                assert client.ask().body == b"abc"
    assert upstream.accepted == 1


def test_an_upstream_that_wants_to_close(proxy: Rig, serve: Serve) -> None:
    upstream = serve(answer_all(response(b"abc", b"Connection: close")))
    with proxy.client() as client:
        for _ in range(3):
            assert client.ask().get(b"connection") is None
    assert upstream.accepted == 3


def test_surplus_behind_a_response_is_never_an_answer(proxy: Rig, serve: Serve) -> None:
    upstream = serve(answer_then_close(response(b"abc") + response(b"poison")))
    with proxy.client() as client:
        for _ in range(3):
            assert client.ask().body == b"abc"
    assert upstream.accepted == 3


# -- interim responses -------------------------------------------------------------------------


def test_interim_responses_pass(proxy: Rig, serve: Serve) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n"
    serve(answer_all(hints + hints + response(b"abc")))
    with proxy.client() as client:
        for _ in range(2):
            answer = client.ask()
            assert answer.body == b"abc"
            assert [b"Link: </a.css>" in head for head in answer.interim] == [True, True]


def test_no_interim_response_for_http10(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(b"abc")))
    with proxy.client() as client:
        client.send(request(version=b"1.0"))
        assert client.read_answer().interim == []


def test_a_client_that_waits_for_100(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        head = side.read_head()
        assert b"\r\nExpect: 100-continue\r\n" in head
        assert not side.unread
        side.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        side.send(response(side.read_body(head)))

    serve(script)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 5", b"Expect: 100-continue"))
        assert client.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send(b"hello")
        assert client.read_answer().body == b"hello"


def test_a_final_answer_instead_of_100(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(response(b"no", status=b"417 Expectation Failed"))
        side.read_to_end()

    serve(script)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 5", b"Expect: 100-continue"))
        assert client.read_answer().status == 417
        with pytest.raises(ClosedError):  # the body may come or not, so nothing else can follow
            client.more()


# -- pipelining --------------------------------------------------------------------------------


def test_fifty_pipelined_requests(proxy: Rig, serve: Serve) -> None:
    upstream = serve(echo)
    with proxy.client() as client:
        client.send(*(request(b"GET", b"/%d" % i) for i in range(50)))
        for i in range(50):
            assert client.read_answer().get(b"x-target") == b"/%d" % i
    assert upstream.accepted == 1


@pytest.mark.parametrize("size", [10, 20_000])
def test_pipelined_requests_with_bodies(proxy: Rig, serve: Serve, size: int) -> None:
    serve(echo)
    bodies = [b"%d" % i * size for i in range(10)]
    sent = b"".join(
        post(body) if i % 2 else
        request(b"POST", b"/", b"Transfer-Encoding: chunked") + chunked([body, body])
        for i, body in enumerate(bodies)
    )  # fmt: skip
    with proxy.client() as client:
        client.send(sent)
        for i, body in enumerate(bodies):
            assert client.read_answer().body == (body if i % 2 else body * 2)
        assert client.ask().status == 200


@pytest.mark.parametrize("ending", ["close_notify", "fin"])
def test_pipelined_requests_before_the_end(proxy: Rig, serve: Serve, ending: str) -> None:
    """The client has nothing more to ask, but wants its answers."""
    serve(echo)
    with proxy.client() as client:
        client.ask()  # the handshake is over
        client.send(*(request(b"GET", b"/%d" % i) for i in range(5)))
        getattr(client, ending)()
        for i in range(5):
            assert client.read_answer().get(b"x-target") == b"/%d" % i
        with pytest.raises(ClosedError):
            client.more()


def test_more_pipelined_than_is_held(proxy: Rig, serve: Serve) -> None:
    """Half a megabyte of heads: the client has to wait, and loses nothing."""
    serve(echo)
    count = 400
    sent = b"".join(request(b"GET", b"/%d" % i, b"X-Pad: " + b"p" * 1200) for i in range(count))
    with proxy.client() as client:
        client.send(sent)
        for i in range(count):
            assert client.read_answer().get(b"x-target") == b"/%d" % i


# -- split anywhere ----------------------------------------------------------------------------


def test_request_head_in_records_of_one_byte(proxy: Rig, serve: Serve) -> None:
    serve(echo)
    with proxy.client() as client:
        client.send_bytewise(request(b"GET", b"/slow", b"X-A: b"))
        assert client.read_answer().get(b"x-target") == b"/slow"
        client.send(*(bytes([byte]) for byte in post(b"hello")))
        assert client.read_answer().body == b"hello"


@one_codec
def test_request_split_at_every_byte(proxy: Rig, serve: Serve) -> None:
    serve(echo)
    whole = request(b"POST", b"/", b"Transfer-Encoding: chunked") + chunked([b"abc", b"de"])
    with proxy.client() as client:
        for i in range(1, len(whole)):
            client.send(whole[:i])
            client.send(whole[i:])
            assert client.read_answer().body == b"abcde", i


def test_response_in_segments_of_one_byte(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        while True:
            side.read_request()
            side.send_bytewise(response(b"hello", b"X-A: b"))

    serve(script)
    with proxy.client() as client:
        for _ in range(2):
            assert client.ask().body == b"hello"


@one_codec
@pytest.mark.parametrize("how", ["length", "chunked", "interim"])
def test_response_split_at_every_byte(proxy: Rig, serve: Serve, how: str) -> None:
    whole = {
        "length": response(b"hello"),
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + chunked([b"hel", b"lo"], b"X-T: 1"),
        "interim": b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(b"hello"),
    }[how]

    def script(side: UpstreamSide) -> None:
        for i in range(1, len(whole)):
            side.read_request()
            side.send(whole[:i])
            side.send(whole[i:])
        side.read_to_end()

    serve(script)
    with proxy.client() as client:
        for i in range(1, len(whole)):
            answer = client.ask()
            assert answer.body == b"hello", i
            assert len(answer.interim) == (how == "interim")


def test_a_large_response_head(proxy: Rig, serve: Serve) -> None:
    """Longer than the room in front of the receive buffer."""
    cookies = [b"Set-Cookie: c%d=%b" % (i, b"v" * 900) for i in range(10)]
    serve(answer_all(response(b"abc", *cookies)))
    with proxy.client() as client:
        for _ in range(2):
            answer = client.ask()
            assert answer.body == b"abc"
            assert answer.head.count(b"Set-Cookie: ") == 10


# -- fields ------------------------------------------------------------------------------------


@one_codec
def test_what_the_upstream_sees(proxy: Rig, serve: Serve) -> None:
    upstream = serve(answer_all(response()))
    with proxy.client() as client:
        client.send(
            b"GET / HTTP/1.1\r\nhOST: App.Example:444\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n"
            b"Keep-Alive: 5\r\nTE: trailers\r\nProxy-Authorization: x\r\nX-Forwarded-For: 6.6.6.6"
            b"\r\nX-Forwarded-Proto: http\r\nForwarded: for=6.6.6.6\r\nX-Kssl-Cipher: forged\r\n"
            b"X_Kssl_Mode: forged\r\nX-Real-IP: 6.6.6.6\r\nVia: 1.0 first\r\nX-Kept: yes\r\n\r\n"
        )
        assert client.read_answer().status == 200
    seen = upstream.received.decode()
    assert "6.6.6.6" not in seen
    assert "forged" not in seen
    fields = dict(line.split(": ", 1) for line in seen.split("\r\n")[1:] if line)
    cipher = fields.pop("X-Kssl-Cipher")
    assert re.fullmatch("TLS_[A-Z0-9_]+", cipher)
    assert fields == {
        "hOST": "App.Example:444",
        "X-Kept": "yes",
        "Via": "1.0 first, 1.1 kssl",
        "X-Kssl-Tls-Version": "TLSv1.3",
        "X-Kssl-Mode": proxy.mode,
        "X-Kssl-Engine": "aead" if proxy.mode == "kernel" else "worker",
        "X-Forwarded-For": "127.0.0.1",
        "X-Real-IP": "127.0.0.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Port": str(proxy.port),
        "X-Forwarded-Host": "App.Example:444",
        "Forwarded": 'for=127.0.0.1;proto=https;host="App.Example:444"',
    }


@one_codec
def test_what_the_client_sees(proxy: Rig, serve: Serve) -> None:
    serve(answer_all(response(b"abc", b"Connection: X-Hop", b"X-Hop: 1", b"Keep-Alive: timeout=5",
                              b"Server: app", b"sET-cOOKIE: a=b")))  # fmt: skip
    with proxy.client() as client:
        assert client.ask().head == (
            b"HTTP/1.1 200 OK\r\nServer: app\r\nsET-cOOKIE: a=b\r\nContent-Length: 3\r\n"
            b"Via: 1.1 kssl\r\n\r\n"
        )


def test_pipelined_requests_wait_for_a_client_that_does_not_read(proxy: Rig, serve: Serve) -> None:
    """Requests are small and answers are not: they must not pile up in our memory."""
    size, number = 60_000, 300

    def script(side: UpstreamSide) -> None:
        while True:
            side.read_head()
            side.send(response(b"x" * size))

    upstream = serve(script)
    with proxy.client() as client:
        client.send(request(b"GET", b"/") * number)
        wait_for(
            lambda: any(
                connection._http is not None
                and connection._http._next_waits
                and connection._http.engine.congested
                for connection in list(proxy.front.connections)
            ),
            "the next request waits for the client",
        )
        assert upstream.sides[0].received.count(b"GET / ") < number
        for _ in range(number):
            assert len(client.read_answer().body) == size


# -- both directions at once -------------------------------------------------------------------


def test_an_early_answer_arrives_complete(proxy: Rig, serve: Serve) -> None:
    """413 while megabytes are still being sent; the client reads only afterwards."""

    def script(side: UpstreamSide) -> None:
        side.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # and it grows no more
        if side.number:
            side.read_head()
            side.send(response(b"next"))
            return
        side.read_head()
        side.take(1000)
        side.send(response(b"too large", status=b"413 Content Too Large"))
        side.read_to_end()

    upstream = serve(script)
    size = 14 << 20  # more than the sockets on the way take, less than is read to its end
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: %d" % size))
        client.send(b"x" * size)
        answer = client.read_answer()
        assert (answer.status, answer.body) == (413, b"too large")
        assert client.ask().body == b"next"
    assert upstream.sides[0].ended.wait(60)


def test_an_answer_that_begins_before_the_request_ends(proxy: Rig, serve: Serve) -> None:
    """Streaming: each piece comes back before the next one is sent."""

    def script(side: UpstreamSide) -> None:
        while True:
            side.read_head()
            side.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while size := int(side.take_until(b"\r\n")[:-2], 16):
                side.send(b"%x\r\n%b\r\n" % (size, side.take(size)))
                side.take(2)
            side.take(2)
            side.send(b"0\r\n\r\n")

    upstream = serve(script)
    with proxy.client() as client:
        for _ in range(2):
            client.send(request(b"POST", b"/", b"Transfer-Encoding: chunked"))
            assert client.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
            for i in range(10):
                piece = b"piece %d" % i
                client.send(b"%x\r\n%b\r\n" % (len(piece), piece))
                assert client.take_until(b"\r\n") == b"%x\r\n" % len(piece)
                assert client.take(len(piece) + 2) == piece + b"\r\n"
            client.send(b"0\r\n\r\n")
            assert client.take(5) == b"0\r\n\r\n"
    assert upstream.accepted == 1


def test_many_clients_at_once(proxy: Rig, serve: Serve) -> None:
    upstream = serve(echo)
    clients: list[Client] = []
    try:
        clients += [proxy.client() for _ in range(20)]
        for i, client in enumerate(clients):
            client.send(post(b"%d" % i))
        for i, client in enumerate(clients):
            assert client.read_answer().body == b"%d" % i
    finally:
        for client in clients:
            client.sock.close()
    assert upstream.accepted <= 20
