"""A final answer before the request's body is complete: the client's next request is not lost."""

from __future__ import annotations

import threading

import pytest

from kssl.proxy.frontend import draining, request_side
from tests.proxy.frontend.clients import Client, ClosedError, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.upstreams import EndedError, Script, UpstreamSide, chunked, response

each_mode = pytest.mark.parametrize(
    "proxy",
    [("kernel", "h11"), ("user", "httptools")],
    ids=["kernel-h11", "user-httptools"],
    indirect=True,
)
one_mode = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools")], ids=["kernel"], indirect=True
)

LENGTH = request(b"POST", b"/upload", b"Content-Length: 10")
CHUNKED = request(b"POST", b"/upload", b"Transfer-Encoding: chunked")
NEXT = request(b"GET", b"/next")
EARLY = response(b"no", status=b"401 Unauthorized")


def early(answer: bytes, *, ends: str = "") -> Script:
    """The first connection answers a head alone; the others are those of an honest app. ``ends``:
    how the app ends the first one, at once."""

    def script(side: UpstreamSide) -> None:
        if not side.number:
            side.read_head()
            side.send(answer)
            if ends:
                getattr(side, ends)()
            else:
                side.read_to_end()
            return
        while True:
            head, body = side.read_request()
            side.send(response(head.split(b" ")[1] + body))

    return script


def closes_orderly(client: Client) -> bool:
    with pytest.raises(ClosedError):
        client.more()
    return True


@each_mode
@pytest.mark.parametrize(
    ("head", "first", "rest"),
    [
        (LENGTH, b"", b"0123456789"),
        (LENGTH, b"01234", b"56789"),
        (CHUNKED, b"", chunked([b"abc", b"defg"], b"X-Trailer: 1")),
        (CHUNKED, b"3\r\nab", b"c\r\n0\r\n\r\n"),
    ],
    ids=["length", "half of it", "chunked", "in a chunk"],
)
@pytest.mark.parametrize("together", [True, False], ids=["with the next", "before the next"])
def test_the_next_request_is_answered(
    proxy: Rig, serve: Serve, head: bytes, first: bytes, rest: bytes, together: bool
) -> None:
    upstream = serve(early(EARLY))
    with proxy.client() as client:
        client.send(head + first)
        answer = client.read_answer()
        assert (answer.status, answer.body) == (401, b"no")
        assert answer.get(b"connection") is None
        # The app is not asked to take the rest: it might take it for another request.
        assert upstream.sides[0].ended.wait(60)
        client.send(*([rest + NEXT] if together else [rest, NEXT]))
        assert client.read_answer().body == b"/next"
        assert client.ask(b"GET", b"/third").body == b"/third"
    assert b"/next" not in upstream.sides[0].received
    assert not proxy.errors.lines
    assert [line.split(b'"')[1:3] for line in proxy.log_lines[:1]] == [
        [b"POST /upload HTTP/1.1", b" 401 2 "]
    ]


@one_mode
def test_byte_by_byte(proxy: Rig, serve: Serve) -> None:
    serve(early(EARLY))
    with proxy.client() as client:
        client.send(CHUNKED)
        assert client.read_answer().status == 401
        client.send_bytewise(chunked([b"abc", b"d"]) + NEXT + NEXT)
        assert client.read_answer().body == b"/next"
        assert client.read_answer().body == b"/next"


CLOSES = response(b"no", b"Connection: close", status=b"413 Content Too Large")
UNTIL_THE_END = b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\nno"


@each_mode
@pytest.mark.parametrize(
    ("answer", "ends"),
    [(CLOSES, "close"), (CLOSES, "reset"), (UNTIL_THE_END, "close")],
    ids=["length, FIN", "length, RST", "until the end"],
)
def test_an_app_that_closes(proxy: Rig, serve: Serve, answer: bytes, ends: str) -> None:
    serve(early(answer, ends=ends))
    with proxy.client() as client:
        client.send(LENGTH)
        assert client.read_answer().body == b"no"
        client.send(b"0123456789" + NEXT)
        assert client.read_answer().body == b"/next"


@one_mode
def test_an_answer_that_ends_early_and_began_earlier(proxy: Rig, serve: Serve) -> None:
    """Its head was on its way when nobody knew that it would end before the request."""
    go_on = threading.Event()

    def script(side: UpstreamSide) -> None:
        if side.number:
            early(b"")(side)
        side.read_head()
        side.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert go_on.wait(60)
        side.send(b"0\r\n\r\n")
        side.read_to_end()

    serve(script)
    with proxy.client() as client:
        client.send(LENGTH)
        client.take_until(b"\r\n\r\n")
        go_on.set()
        client.take_until(b"0\r\n\r\n")
        client.send(b"0123456789" + NEXT)
        assert client.read_answer().body == b"/next"


@each_mode
def test_a_client_of_http_1_0(proxy: Rig, serve: Serve) -> None:
    fields = (b"Content-Length: 10", b"Connection: keep-alive")
    serve(early(EARLY))
    with proxy.client() as client:
        client.send(request(b"POST", b"/upload", *fields, version=b"1.0"))
        assert client.read_answer().get(b"connection") == b"keep-alive"
        client.send(b"0123456789" + request(b"GET", b"/next", version=b"1.0"))
        assert client.read_answer().body == b"/next"


@each_mode
@pytest.mark.parametrize("size", [draining.MAX_DRAIN + 1, 1 << 40])
def test_more_than_would_be_read_is_told(proxy: Rig, serve: Serve, size: int) -> None:
    """RFC 9112 §9.6: then the client knows that its next request was not taken."""
    serve(early(EARLY))
    with proxy.client() as client:
        client.send(request(b"POST", b"/upload", b"Content-Length: %d" % size))
        answer = client.read_answer()
        assert (answer.status, answer.body) == (401, b"no")
        assert answer.get(b"connection") == b"close"
        assert closes_orderly(client)


@each_mode
def test_what_is_left_counts(proxy: Rig, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draining, "MAX_DRAIN", 100)
    monkeypatch.setattr(request_side, "MAX_DRAIN", 100)
    serve(early(EARLY))
    go_on = threading.Event()

    def script(side: UpstreamSide) -> None:
        if side.number:
            early(b"")(side)
        side.read_head()
        side.take(900)
        go_on.set()
        side.send(EARLY)
        side.read_to_end()

    serve(script)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 1000") + b"x" * 900)
        assert go_on.wait(60)
        assert client.read_answer().get(b"connection") is None
        client.send(b"x" * 100 + NEXT)
        assert client.read_answer().body == b"/next"


@each_mode
def test_a_body_without_end_is_given_up(
    proxy: Rig, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(draining, "MAX_DRAIN", 1000)
    serve(early(EARLY))
    with proxy.client() as client:
        client.send(CHUNKED)
        assert client.read_answer().status == 401
        client.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert closes_orderly(client)
    (line,) = proxy.errors.of("EntityTooLarge")
    assert (line["method"], line["uri"]) == (b"POST", b"/upload")


@each_mode
def test_the_time_is_limited(proxy: Rig, serve: Serve) -> None:
    """EntityBodyTimeout, for all that is left."""
    serve(early(EARLY), entity_body_timeout=1)
    with proxy.client() as client:
        client.send(LENGTH)
        assert client.read_answer().status == 401
        client.send(b"01234")
        assert closes_orderly(client)
    (line,) = proxy.errors.of("Timer_EntityBody")
    assert (line["method"], line["uri"]) == (b"POST", b"/upload")


@each_mode
def test_a_broken_rest(proxy: Rig, serve: Serve) -> None:
    """What follows it cannot be found, and the answer is not taken back."""
    upstream = serve(early(EARLY))
    with proxy.client() as client:
        client.send(CHUNKED)
        assert client.read_answer().status == 401
        client.send(b"zz\r\n" + NEXT)
        assert closes_orderly(client)
    assert proxy.errors.of("BadRequest")
    assert b"/next" not in upstream.received


@each_mode
@pytest.mark.parametrize("how", ["close_notify", "fin", "reset"])
def test_a_client_that_leaves(proxy: Rig, serve: Serve, how: str) -> None:
    """It has its answer, so nothing has gone wrong."""
    serve(early(EARLY))
    with proxy.client() as client:
        client.send(LENGTH)
        assert client.read_answer().status == 401
        getattr(client, how)()
        wait_for(lambda: not proxy.front.connections, "the connection is over")
    assert not proxy.errors.lines
    assert len(proxy.log_lines) == 1


@each_mode
def test_what_the_service_cuts_when_it_stops(proxy: Rig, serve: Serve) -> None:
    def stop() -> None:
        for connection in list(proxy.front.connections):
            connection.end()

    serve(early(EARLY))
    with proxy.client() as client:
        client.send(LENGTH)
        assert client.read_answer().status == 401
        proxy.call(stop)
        assert closes_orderly(client)
    assert not proxy.errors.lines


@each_mode
def test_a_page_of_ours(proxy: Rig, serve: Serve) -> None:
    """502 before the body is here is an early answer too."""

    def script(side: UpstreamSide) -> None:
        if side.number:
            early(b"")(side)
        side.read_head()

    serve(script)
    with proxy.client() as client:
        client.send(LENGTH + b"01")
        answer = client.read_answer()
        assert answer.status == 502
        assert answer.get(b"connection") is None
        client.send(b"23456789" + NEXT)
        assert client.read_answer().body == b"/next"


@each_mode
def test_a_client_that_waits_for_100_is_told(proxy: Rig, serve: Serve) -> None:
    """The body may come or not, so nothing can follow."""
    serve(early(EARLY))
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 10", b"Expect: 100-continue"))
        answer = client.read_answer()
        assert (answer.status, answer.get(b"connection")) == (401, b"close")
        assert closes_orderly(client)


@each_mode
def test_the_app_sees_a_request_that_was_cut(proxy: Rig, serve: Serve) -> None:
    """Not the end of a body."""

    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(response(b"early"))
        with pytest.raises(EndedError):
            side.take(10)

    upstream = serve(script)
    with proxy.client() as client:
        client.send(LENGTH)
        assert client.read_answer().body == b"early"
        assert upstream.sides[0].ended.wait(60)
        client.send(b"0123456789")
    assert b"0123456789" not in upstream.received
