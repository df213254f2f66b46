"""Upgrade on a request with a body, as of `docker exec`: the tunnel begins behind the body."""

from __future__ import annotations

import threading

import pytest

from tests.proxy.frontend.clients import request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig
from tests.proxy.frontend.upstreams import UpstreamSide, answer_all, chunked, response

each_mode = pytest.mark.parametrize(
    "proxy",
    [("kernel", "httptools"), ("user", "h11"), ("kernel", "h11")],
    ids=["kernel-httptools", "user-h11", "kernel-h11"],
    indirect=True,
)

ASK = (b"Connection: Upgrade", b"Upgrade: tcp")
SWITCH = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
BODY = b'{"Detach":false,"Tty":true}   '

LENGTH = request(b"POST", b"/exec/1/start", b"Content-Length: 30", *ASK)
CHUNKED = request(b"POST", b"/exec/1/start", b"Transfer-Encoding: chunked", *ASK)
FRAMED = {
    "length": (LENGTH, BODY),
    "chunked": (CHUNKED, chunked([BODY[:7], BODY[7:]])),
}

each_framing = pytest.mark.parametrize(("head", "framed"), FRAMED.values(), ids=FRAMED.keys())


def shell(side: UpstreamSide) -> None:
    """Switches behind the body, and says so; echoes everything in capitals."""
    head, body = side.read_request()
    assert b"\r\nConnection: upgrade\r\nUpgrade: tcp\r\n" in head
    assert body == BODY
    side.send(SWITCH + b"$ ")
    while True:
        if not side.unread:
            side._more()
        side.send(bytes(side.unread).upper())
        side.unread.clear()


@each_mode
@each_framing
def test_a_tunnel_behind_a_body(proxy: Rig, serve: Serve, head: bytes, framed: bytes) -> None:
    serve(shell)
    with proxy.client() as client:
        client.send(head)
        client.send(framed)
        answer = client.read_answer()
        assert (answer.status, answer.get(b"upgrade")) == (101, b"tcp")
        assert client.take(2) == b"$ "
        client.send(b"ls\n")
        assert client.take(3) == b"LS\n"


@each_mode
@each_framing
@pytest.mark.parametrize("together", [True, False], ids=["one record", "byte by byte"])
def test_what_is_behind_the_body_waits_for_the_101(
    proxy: Rig, serve: Serve, head: bytes, framed: bytes, together: bool
) -> None:
    seen, go_on = threading.Event(), threading.Event()

    def script(side: UpstreamSide) -> None:
        _, body = side.read_request()
        assert body == BODY
        seen.set()
        assert go_on.wait(60)
        assert not side.unread
        side.send(SWITCH)
        side.send(side.take(len(early)))

    early = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    upstream = serve(script)
    with proxy.client() as client:
        if together:
            client.send(head + framed + early)
        else:
            client.send_bytewise(head + framed + early)
        assert seen.wait(60)
        assert early not in upstream.received
        go_on.set()
        assert client.read_answer().status == 101
        assert client.take(len(early)) == early
    assert upstream.accepted == 1


@each_mode
@each_framing
@pytest.mark.parametrize("part", [0, 9])
def test_a_101_before_the_body_is_no_good(
    proxy: Rig, serve: Serve, head: bytes, framed: bytes, part: int
) -> None:
    """Which bytes would be body, and which the tunnel's? The app and the proxy may disagree."""

    def script(side: UpstreamSide) -> None:
        if side.number:
            answer_all(response(b"next"))(side)
        side.read_head()
        side.send(SWITCH + b"too early")
        side.read_to_end()

    upstream = serve(script)
    with proxy.client() as client:
        client.send(head + framed[:part])
        answer = client.read_answer()
        assert answer.status == 502
        assert b"before it had the whole request" in answer.body
        assert upstream.sides[0].ended.wait(60)
        client.send(framed[part:])
        assert client.ask().body == b"next"


@each_mode
@each_framing
def test_an_app_that_does_not_switch(proxy: Rig, serve: Serve, head: bytes, framed: bytes) -> None:
    upstream = serve(answer_all(response(b"no", status=b"409 Conflict"), response(b"next")))
    with proxy.client() as client:
        client.send(head + framed)
        assert client.read_answer().status == 409
        assert client.ask().body == b"next"
    assert upstream.accepted == 1


@each_mode
def test_expect_and_upgrade(proxy: Rig, serve: Serve) -> None:
    """RFC 9110 §7.8: 100 first, then 101."""

    def script(side: UpstreamSide) -> None:
        head = side.read_head()
        side.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        side.read_body(head)
        side.send(SWITCH + b"$ ")
        side.read_to_end()

    serve(script)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 30", b"Expect: 100-continue", *ASK))
        assert client.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send(BODY)
        assert client.read_answer().status == 101
        assert client.take(2) == b"$ "


@each_mode
@pytest.mark.parametrize("body", [b"", BODY])
def test_h2c_is_ignored(proxy: Rig, serve: Serve, body: bytes) -> None:
    """curl --http2 offers it for http:// URLs, Java's client for every one. It gets HTTP/1.1."""
    upstream = serve(answer_all(response(b"plain"), response(b"next")))
    fields = [b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"]
    if body:
        fields.append(b"Content-Length: 30")
    with proxy.client() as client:
        client.send(request(b"POST", b"/", *fields) + body)
        assert client.read_answer().body == b"plain"
        assert client.ask().body == b"next"
    assert b"h2c" not in upstream.received
    assert b"ttp2" not in upstream.received.lower()
    assert b"\r\nconnection:" not in upstream.received.lower()


@each_mode
def test_an_app_may_not_switch_to_what_was_not_offered(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_head()
        side.send(SWITCH.replace(b"tcp", b"h2c"))
        side.read_to_end()

    serve(script)
    with proxy.client() as client:
        client.send(request(b"GET", b"/", b"Connection: Upgrade", b"Upgrade: h2c, tcp"))
        assert client.read_answer().status == 502


@each_mode
def test_426_says_what_to_upgrade_to(proxy: Rig, serve: Serve) -> None:
    fields = (b"Upgrade: tcp", b"Connection: Upgrade")
    serve(answer_all(response(b"use tcp", *fields, status=b"426 Upgrade Required")))
    with proxy.client() as client:
        for _ in range(2):
            answer = client.ask()
            assert (answer.status, answer.body) == (426, b"use tcp")
            assert answer.get(b"upgrade") == b"tcp"
            assert answer.get(b"connection") == b"upgrade"
