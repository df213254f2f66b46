"""Expect: 100-continue with apps that never say 100, say it late, or say it twice."""

from __future__ import annotations

import threading

import pytest

from kssl.proxy.frontend import expectation
from tests.proxy.frontend.clients import ClosedError, request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig
from tests.proxy.frontend.upstreams import UpstreamSide, answer_all, chunked, echo, response

each_mode = pytest.mark.parametrize(
    "proxy",
    [("kernel", "httptools"), ("user", "h11")],
    ids=["kernel-httptools", "user-h11"],
    indirect=True,
)

EXPECT = b"Expect: 100-continue"
HEAD = request(b"POST", b"/", b"Content-Length: 5", EXPECT)
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The app's time for its 100 is over at once."""
    monkeypatch.setattr(expectation, "CONTINUE_AFTER", 0.02)


@pytest.fixture
def never(monkeypatch: pytest.MonkeyPatch) -> None:
    """It lasts for longer than the test."""
    monkeypatch.setattr(expectation, "CONTINUE_AFTER", 1000.0)


def test_the_time() -> None:
    assert expectation.CONTINUE_AFTER == 1.0


@each_mode
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 5", b"hello"), (b"Transfer-Encoding: chunked", chunked([b"he", b"llo"]))],
    ids=["length", "chunked"],
)
def test_an_app_that_never_says_100(
    proxy: Rig, serve: Serve, framing: bytes, body: bytes, kept: bool
) -> None:
    """On a new connection to it, and on one that was kept."""
    upstream = serve(echo)
    with proxy.client() as client:
        if kept:
            client.ask()
        client.send(request(b"POST", b"/", framing, EXPECT))
        assert client.take_until(b"\r\n\r\n") == CONTINUE
        client.send(body)
        answer = client.read_answer()
        assert (answer.body, answer.interim) == (b"hello", [])
        assert client.ask().status == 200
    assert upstream.accepted == 1


@each_mode
@pytest.mark.usefixtures("soon")
def test_a_late_100_goes_no_further(proxy: Rig, serve: Serve) -> None:
    """Two would be one for the next request, to some clients."""

    def script(side: UpstreamSide) -> None:
        head = side.read_head()
        body = side.read_body(head)
        side.send(CONTINUE + CONTINUE + response(body))
        side.read_request()
        side.send(response(b"next"))

    serve(script)
    with proxy.client() as client:
        client.send(HEAD)
        assert client.take_until(b"\r\n\r\n") == CONTINUE
        client.send(b"hello")
        answer = client.read_answer()
        assert (answer.body, answer.interim) == (b"hello", [])
        assert client.ask().body == b"next"


@each_mode
@pytest.mark.usefixtures("never")
def test_the_apps_own_100_comes_once(proxy: Rig, serve: Serve) -> None:
    def script(side: UpstreamSide) -> None:
        head = side.read_head()
        side.send(CONTINUE + CONTINUE)
        side.send(response(side.read_body(head)))

    serve(script)
    with proxy.client() as client:
        client.send(HEAD)
        assert client.take_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        client.send(b"hello")
        answer = client.read_answer()
        assert (answer.body, answer.interim) == (b"hello", [])


@each_mode
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("body", [b"hello", b"he"], ids=["whole", "a part"])
def test_a_client_that_does_not_wait_is_told_nothing(proxy: Rig, serve: Serve, body: bytes) -> None:
    seen = threading.Event()

    def script(side: UpstreamSide) -> None:
        head = side.read_head()
        first = side.take(len(body))
        seen.set()
        assert EXPECT in head
        side.send(response(first + side.take(5 - len(first))))

    def timers() -> list[object]:
        https = [connection._http for connection in proxy.front.connections]
        exchanges = [http._exchange for http in https if http is not None]
        return [each._expects._timer for each in exchanges]  # type: ignore[union-attr]

    serve(script)
    with proxy.client() as client:
        client.send(HEAD + body)
        assert seen.wait(60)
        if len(body) < 5:
            assert proxy.call(timers) == [None]
        client.send(b"hello"[len(body) :])
        answer = client.read_answer()
        assert (answer.body, answer.interim) == (b"hello", [])


@each_mode
@pytest.mark.usefixtures("soon")
def test_then_it_is_the_clients_turn(proxy: Rig, serve: Serve) -> None:
    """408 after EntityBodyTimeout, not 504."""
    serve(echo, entity_body_timeout=1, upstream_response_timeout=60)
    with proxy.client() as client:
        client.send(HEAD)
        answer = client.read_answer()
        assert (answer.status, answer.interim) == (408, [CONTINUE])


@each_mode
@pytest.mark.usefixtures("never")
def test_until_then_it_is_the_apps_turn(proxy: Rig, serve: Serve) -> None:
    serve(echo, entity_body_timeout=60, upstream_response_timeout=1)
    with proxy.client() as client:
        client.send(HEAD)
        answer = client.read_answer()
        assert (answer.status, answer.interim) == (504, [])
        assert answer.get(b"connection") == b"close"
        with pytest.raises(ClosedError):
            client.more()


@each_mode
@pytest.mark.usefixtures("soon")
def test_an_answer_behind_our_100(proxy: Rig, serve: Serve) -> None:
    """The body is on its way, so it is read to its end."""
    told = threading.Event()

    def script(side: UpstreamSide) -> None:
        if side.number:
            echo(side)
        side.read_head()
        assert told.wait(60)
        side.send(response(b"no", status=b"413 Content Too Large"))
        side.read_to_end()

    serve(script)
    with proxy.client() as client:
        client.send(HEAD)
        assert client.take_until(b"\r\n\r\n") == CONTINUE
        told.set()
        assert client.read_answer().status == 413
        client.send(b"hello")
        assert client.ask(b"GET", b"/next").get(b"x-target") == b"/next"


@each_mode
@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("framing", [(), (b"Content-Length: 0",)], ids=["none", "0"])
def test_without_a_body_it_is_not_passed_on(
    proxy: Rig, serve: Serve, framing: tuple[bytes, ...]
) -> None:
    upstream = serve(answer_all(response(b"ok")))
    with proxy.client() as client:
        for method in (b"GET", b"POST"):
            answer = client.ask(method, b"/", *framing, EXPECT)
            assert (answer.body, answer.interim) == (b"ok", [])
    assert b"xpect" not in upstream.received


@each_mode
def test_another_expectation_is_refused(proxy: Rig, serve: Serve) -> None:
    upstream = serve(echo)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 5", b"Expect: 200-ok"))
        assert client.read_answer().status == 417
    assert not upstream.received


@each_mode
@pytest.mark.usefixtures("soon")
def test_a_client_of_http_1_0_is_told_nothing(proxy: Rig, serve: Serve) -> None:
    upstream = serve(echo)
    with proxy.client() as client:
        client.send(request(b"POST", b"/", b"Content-Length: 5", EXPECT, version=b"1.0"))
        client.send(b"hello")
        answer = client.read_answer()
        assert (answer.body, answer.interim) == (b"hello", [])
    assert b"xpect" not in upstream.received


@each_mode
@pytest.mark.usefixtures("soon")
def test_nothing_is_left_of_the_timer(proxy: Rig, serve: Serve) -> None:
    """A client that leaves while it waits."""
    seen = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_head()
        seen.set()
        side.read_to_end()

    upstream = serve(script)
    with proxy.client() as client:
        client.send(HEAD)
        assert seen.wait(60)
        client.reset()
        assert upstream.sides[0].ended.wait(60)
