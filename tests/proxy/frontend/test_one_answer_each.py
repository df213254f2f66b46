"""What an app says on a kept connection is the answer to the next request there, whoever's it is.
So nothing may be left on it: no body that should not be, no bytes that nobody has asked for."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from tests.proxy.frontend.clients import post, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import UpstreamSide, answer_all, response

pytestmark = pytest.mark.parametrize(
    "proxy",
    [("kernel", "httptools"), ("user", "h11")],
    ids=["kernel-httptools", "user-h11"],
    indirect=True,
)

PWNED = response(b"PWNED")
CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: %d" % len(PWNED)
EARLY = b"HTTP/1.1 103 Early Hints\r\n%b\r\n"

# -- bodies that should not be ---------------------------------------------------------------


def head(status: bytes, *lines: bytes) -> bytes:
    return b"HTTP/1.1 %b\r\n%b\r\n" % (status, b"".join(line + b"\r\n" for line in lines))


ANNOUNCED = {
    "204 length": (b"GET", head(b"204 No Content", LENGTH)),
    "204 chunked": (b"GET", head(b"204 No Content", CHUNKED)),
    "304 length": (b"GET", head(b"304 Not Modified", LENGTH)),
    "304 chunked": (b"GET", head(b"304 Not Modified", CHUNKED)),
    "HEAD length": (b"HEAD", head(b"200 OK", LENGTH)),
    "HEAD chunked": (b"HEAD", head(b"200 OK", CHUNKED)),
    "HEAD until the end": (b"HEAD", head(b"200 OK")),
    "103, 204 length": (b"GET", EARLY % b"" + head(b"204 No Content", LENGTH)),
    "103, HEAD chunked": (b"HEAD", EARLY % b"" + head(b"200 OK", CHUNKED)),
    "103, 304 chunked": (b"GET", EARLY % b"" + head(b"304 Not Modified", CHUNKED)),
    "103 length, 204": (b"GET", EARLY % (LENGTH + b"\r\n") + head(b"204 No Content")),
    "103 chunked, 204": (b"GET", EARLY % (CHUNKED + b"\r\n") + head(b"204 No Content")),
    "102 length, 304": (b"GET", head(b"102 Processing", LENGTH) + head(b"304 Not Modified")),
    "100 chunked, 200": (b"GET", head(b"100 Continue", CHUNKED) + response(b"")),
    "103 close, 204": (b"GET", EARLY % b"Connection: close\r\n" + head(b"204 No Content")),
}


@pytest.mark.parametrize("what", [*ANNOUNCED])
def test_a_connection_with_a_body_to_come_is_not_used_again(
    proxy: Rig, serve: Serve, what: str
) -> None:
    """The app sends it when the next request is there: then nobody can tell it from an answer."""
    method, first = ANNOUNCED[what]

    def script(side: UpstreamSide) -> None:
        side.read_head()
        if side.number == 0:
            side.send(first)
            side.read_head()
            side.send(PWNED)
        else:
            side.send(response(b"its own"))

    upstream = serve(script)
    with proxy.client() as one, proxy.client() as other:
        assert one.ask(method).body == b""
        assert other.ask().body == b"its own"
    assert upstream.accepted == 2


@pytest.mark.parametrize(
    ("method", "first"),
    [
        (b"GET", head(b"204 No Content")),
        (b"GET", head(b"204 No Content", b"Content-Length: 0")),
        (b"GET", head(b"304 Not Modified", b"Content-Length: 0")),
        (b"HEAD", head(b"200 OK", b"Content-Length: 0")),
        (b"HEAD", EARLY % b"" + head(b"304 Not Modified")),
        (b"GET", head(b"205 Reset Content", b"Content-Length: 0")),
    ],
)
def test_a_connection_without_one_is(proxy: Rig, serve: Serve, method: bytes, first: bytes) -> None:
    upstream = serve(answer_all(first, response(b"its own")))
    with proxy.client() as one, proxy.client() as other:
        assert one.ask(method).body == b""
        assert other.ask().body == b"its own"
    assert upstream.accepted == 1


def test_a_body_of_205_is_no_answer(proxy: Rig, serve: Serve) -> None:
    """It should not be there (RFC 9110 section 15.3.6), but ends where its length says."""
    first = response(b"reset", status=b"205 Reset Content")
    upstream = serve(answer_all(first, response(b"its own")))
    with proxy.client() as one, proxy.client() as other:
        assert one.ask().body == b"reset"
        assert other.ask().body == b"its own"
    assert upstream.accepted == 1


REFUSED = {
    "101 that nobody asked for": head(b"101 X", b"Connection: upgrade", b"Upgrade: x"),
    "length and chunked": head(b"200 OK", b"Content-Length: 5", CHUNKED),
    "HTTP/1.0 chunked": b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n\r\n",
    "two lengths": head(b"200 OK", b"Content-Length: 5", b"Content-Length: 6"),
    "103, then no head": EARLY % b"" + b"PWNED\r\n\r\n",
    "103 with length and chunked": EARLY % (LENGTH + b"\r\n" + CHUNKED + b"\r\n"),
}


@pytest.mark.parametrize("what", [*REFUSED])
def test_a_connection_with_a_bad_answer_is_not_used_again(
    proxy: Rig, serve: Serve, what: str
) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_head()
        if side.number == 0:
            side.send(REFUSED[what])
            side.read_head()
            side.send(PWNED)
        else:
            side.send(response(b"its own"))

    serve(script)
    with proxy.client() as one, proxy.client() as other:
        assert one.ask().status == 502
        assert other.ask().body == b"its own"


# -- bytes that are there already ------------------------------------------------------------


ASKED = {
    "GET": request(),
    "POST": post(b"body"),
    "large POST": post(b"x" * 70_000),
    "pipelined": request() + request(),
}


@pytest.mark.parametrize("what", ["bytes", "end"])
@pytest.mark.parametrize("how", [*ASKED])
def test_what_is_there_before_the_request_is_nobodys_answer(
    proxy: Rig, serve: Serve, what: str, how: str
) -> None:
    """The front end stands still, and then hears of the client first. Of an end nobody needs to
    hear: nothing has left, so another connection gets the request."""

    def script(side: UpstreamSide) -> None:
        while True:
            _, body = side.read_request()
            side.send(response(b"%d %b" % (side.number, body)))

    upstream = serve(script)
    with proxy.client() as one, proxy.client() as other:
        for number in range(5):
            assert one.ask().body == b"%d " % number
            wait_for(lambda: proxy.idle_upstreams == 1, "a kept connection")
            with proxy.standing_still():
                other.send(ASKED[how])
                side = upstream.sides[-1]
                if what == "bytes":
                    side.send(PWNED)
                else:
                    side.sock.shutdown(socket.SHUT_RDWR)
            body = other.read_answer().body
            assert body.startswith(b"%d " % (number + 1)), number
            if how == "pipelined":
                assert other.read_answer().body == body
    if what == "bytes" and "POST" in how:
        assert upstream.received.count(b"POST ") == 5  # none was sent twice


def test_in_a_crowd_too(proxy: Rig, serve: Serve) -> None:
    """More happens than the poller tells of in one turn, and the app's bytes come last."""

    def script(side: UpstreamSide) -> None:
        while True:
            side.read_request()
            side.send(response(b"its own"))

    upstream = serve(script)
    with ExitStack() as stack, proxy.client() as one:
        crowd = [stack.enter_context(proxy.client()) for _ in range(80)]
        for _ in range(3):
            assert one.ask().body == b"its own"
            kept = {pool._idle[-1] for pool in proxy.front.pools.values() if pool._idle}
            ports = {connection.channel.sock.getsockname()[1] for connection in kept}  # type: ignore[attr-defined]
            with proxy.standing_still():
                for client in crowd:
                    client.send(request())
                for side in upstream.sides:
                    if side.sock.fileno() >= 0 and side.sock.getpeername()[1] in ports:
                        side.send(PWNED)
            for client in crowd:
                assert client.read_answer().body == b"its own"
