"""Pieces of a byte each: a quantum of them in one go, all of them in the end, and no others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kssl.fastpath.net.quantum import CHUNKS, INTERIM_RESPONSES
from kssl.proxy.frontend.exchange import Exchange
from kssl.proxy.http.chunked import ChunkedReader
from kssl.proxy.http.memo import ResponseMemo
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, wait_for
from tests.proxy.frontend.test_https_upstreams import Https, https, world
from tests.proxy.frontend.upstreams import UpstreamSide, answer_all, chunked, echo, response

__all__ = ["https", "world"]  # fixtures

pytestmark = pytest.mark.parametrize(
    "proxy", [("kernel", "httptools"), ("user", "h11")], ids=["kernel", "user"], indirect=True
)

BODY = bytes(range(256)) * 20
TINY = chunked([BODY[i : i + 1] for i in range(len(BODY))], b"X-Trailer: yes")
POST = request(b"POST", b"/", b"Transfer-Encoding: chunked")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"


@pytest.fixture
def feeds(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """For each call of a reader of chunks: the chunks that it found."""
    found: list[int] = []
    feed = ChunkedReader.feed

    def counting(self: ChunkedReader, data: memoryview) -> tuple[list[memoryview], int]:
        pieces, used = feed(self, data)
        found.append(len(pieces))
        return pieces, used

    monkeypatch.setattr(ChunkedReader, "feed", counting)
    return found


def check(feeds: list[int]) -> None:
    assert sum(feeds) == len(BODY)
    assert max(feeds) == CHUNKS


# -- a client's ----------------------------------------------------------------------------


def test_a_clients_chunks(proxy: Rig, serve: Serve, feeds: list[int]) -> None:
    upstream = serve(echo)
    with proxy.client() as client:
        client.send(POST + TINY + request(b"GET", b"/next") + request(b"GET", b"/last"))
        assert client.read_answer().body == BODY
        for target in (b"/next", b"/last"):
            assert client.read_answer().get(b"x-target") == target
    check(feeds)
    assert upstream.accepted == 1
    # What came together goes on together.
    assert upstream.received.count(b"\r\n%x\r\n" % CHUNKS) >= len(BODY) // CHUNKS - 2


def test_a_client_that_ends_behind_them(proxy: Rig, serve: Serve, feeds: list[int]) -> None:
    serve(echo)
    with proxy.client() as client:
        client.send(POST + TINY)
        client.close_notify()
        assert client.read_answer().body == BODY
    check(feeds)


def test_a_client_that_ends_among_them(proxy: Rig, serve: Serve, feeds: list[int]) -> None:
    ended = threading.Event()

    def script(side: UpstreamSide) -> None:
        side.read_to_end()
        ended.set()

    upstream = serve(script)
    with proxy.client() as client:
        client.send(POST + TINY[: -len(b"0\r\nX-Trailer: yes\r\n\r\n")])
        client.close_notify()
        client.read_to_end()
        assert ended.wait(15)
    check(feeds)
    assert not upstream.received.endswith(b"0\r\n\r\n")
    assert [line["reason"] for line in proxy.errors.lines] == ["Connection_Dropped"]


def test_a_bad_one_behind_a_quantum(proxy: Rig, serve: Serve, feeds: list[int]) -> None:
    serve(echo)
    with proxy.client() as client:
        client.send(POST + b"1\r\nx\r\n" * (CHUNKS + 10) + b"1\r\nxy\r\n" + TINY)
        assert client.read_answer().status == 400
    assert max(feeds) == CHUNKS


def test_an_app_that_does_not_read(proxy: Rig, serve: Serve, feeds: list[int]) -> None:
    """What it does not take is not decoded either."""
    go_on = threading.Event()

    def script(side: UpstreamSide) -> None:
        head = side.read_head()
        assert go_on.wait(15)
        side.send(response(side.read_body(head)))

    serve(script)
    piece = bytes(10_000)
    large = chunked([piece] * 2000)
    with proxy.client() as client:
        sender = threading.Thread(target=client.send, args=(POST + large,))
        sender.start()
        wait_for(
            lambda: any(each._http and each._http._body_paused for each in proxy.front.connections),
            "the app's backlog pauses the client",
        )
        assert sum(feeds) < 2000
        go_on.set()
        assert client.read_answer().body == piece * 2000
        sender.join(15)
    assert sum(feeds) >= 2000


# -- an app's ------------------------------------------------------------------------------


@pytest.fixture(params=["http", "https"])
def app(request: pytest.FixtureRequest, serve: Serve, https: Https) -> Iterator[Any]:
    return serve if request.param == "http" else https.start  # type: ignore[return-value]


def test_an_apps_chunks(proxy: Rig, app: Any, feeds: list[int]) -> None:
    upstream = app(answer_all(CHUNKED + b"\r\n" + TINY, response(b"next")))
    with proxy.client() as client:
        answer = client.ask()
        assert (answer.body, answer.trailers) == (BODY, b"X-Trailer: yes\r\n")
        assert client.ask().body == b"next"
    check(feeds)
    assert upstream.accepted == 1


def test_an_app_that_ends_behind_them(proxy: Rig, app: Any, feeds: list[int]) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(CHUNKED + b"Connection: close\r\n\r\n" + TINY)

    app(script)
    with proxy.client() as client:
        assert client.ask().body == BODY
    check(feeds)


def test_an_app_that_ends_among_them(proxy: Rig, app: Any, feeds: list[int]) -> None:
    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(CHUNKED + b"\r\n" + TINY[: -len(b"0\r\nX-Trailer: yes\r\n\r\n")])

    app(script)
    with proxy.client() as client:
        client.send(request())
        text, ending = client.read_to_end()
    assert ending == "cut"
    assert b"\r\n0\r\n" not in text
    check(feeds)


def test_interim_responses(proxy: Rig, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[int] = []  # for each go
    parse, received = ResponseMemo.parse, Exchange.upstream_received

    def counting_parse(self: ResponseMemo, *args: Any) -> Any:
        parsed[-1] += 1
        return parse(self, *args)

    def counting_goes(self: Exchange, end: int) -> None:
        parsed.append(0)
        received(self, end)

    monkeypatch.setattr(ResponseMemo, "parse", counting_parse)
    monkeypatch.setattr(Exchange, "upstream_received", counting_goes)
    hints = b"".join(b"HTTP/1.1 103 Early\r\nLink: %d\r\n\r\n" % i for i in range(20))
    app(answer_all(hints + response(b"final")))
    with proxy.client() as client:
        answer = client.ask()
    assert answer.body == b"final"
    assert [int(head.partition(b"Link: ")[2].split()[0]) for head in answer.interim] == [*range(20)]
    assert (max(parsed), sum(parsed)) == (INTERIM_RESPONSES, 21)
