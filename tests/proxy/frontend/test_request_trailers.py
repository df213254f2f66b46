"""Trailers of requests: dropped, or passed on a connection that no other request is sent on."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kssl.config.target import Target
from tests.proxy.frontend.clients import request
from tests.proxy.frontend.conftest import Serve
from tests.proxy.frontend.rig import Rig, one_site
from tests.proxy.frontend.upstreams import Upstream, chunked, echo

pytestmark = pytest.mark.parametrize(
    "proxy",
    [("kernel", "httptools"), ("user", "h11")],
    ids=["kernel-httptools", "user-h11"],
    indirect=True,
)

EVIL = (b"X-Evil: 1", b"GET: /smuggled HTTP/1.1")


def upload(*trailers: bytes, fields: tuple[bytes, ...] = ()) -> bytes:
    head = request(b"POST", b"/", *fields, b"Transfer-Encoding: chunked")
    return head + chunked([b"hello", b" world"], *trailers)


def pass_trailers(proxy: Rig, upstream: Upstream) -> None:
    target = Target("http", "127.0.0.1", upstream.port)
    proxy.serve_sites(replace(one_site(target), pass_trailers=True))


@pytest.mark.parametrize("cut", [0, 3, 5])
@pytest.mark.parametrize("announced", [True, False])
def test_dropped(proxy: Rig, serve: Serve, cut: int, announced: bool) -> None:
    """However they come; the connection is used on."""
    upstream = serve(echo)
    data = upload(*EVIL, fields=(b"traiLer: X-Evil, GET",) if announced else ())
    end = len(data) - cut if cut else data.index(b"X-Evil: ")
    with proxy.client() as client, proxy.client() as other:
        for _ in range(2):
            client.send(data[:end])
            client.send(data[end:])
            assert client.read_answer().body == b"hello world"
            assert other.ask(b"GET", b"/other").get(b"x-target") == b"/other"
    assert upstream.accepted == 1
    assert upstream.received.count(b"\r\n0\r\n\r\nGET /other ") == 2
    for word in (b"evil", b"smuggled", b"trailer"):
        assert word not in upstream.received.lower()
    assert not proxy.errors.lines


def test_passed_where_the_site_says_so(proxy: Rig, serve: Serve) -> None:
    upstream = serve(echo)
    pass_trailers(proxy, upstream)
    with proxy.client() as client, proxy.client() as other:
        assert other.ask().status == 200  # on the connection that the trailers go to
        client.send(upload(*EVIL, fields=(b"Trailer: X-Evil",)))
        assert client.read_answer().body == b"hello world"
        assert upstream.accepted == 1
        for asking in (client, other):
            assert asking.ask().status == 200
        client.send(upload())  # nothing to pass
        assert client.read_answer().body == b"hello world"
        assert other.ask().status == 200
    first, second = upstream.sides
    assert first.received.endswith(b"\r\n0\r\nX-Evil: 1\r\nGET: /smuggled HTTP/1.1\r\n\r\n")
    assert first.received.count(b"\r\nTrailer: X-Evil\r\n") == 1
    assert second.received.count(b" / HTTP/1.1\r\n") == 4


@pytest.mark.parametrize("passed", [True, False])
@pytest.mark.parametrize(
    "trailer",
    [b"Content-Length: 5", b"Host: evil", b"X-Forwarded-For: 6.6.6.6", b"X: " + b"a" * 16384],
    ids=lambda trailer: trailer[:20].decode(),
)
def test_checked_in_both_cases(proxy: Rig, serve: Serve, passed: bool, trailer: bytes) -> None:
    upstream = serve(echo)
    if passed:
        pass_trailers(proxy, upstream)
    with proxy.client() as client:
        client.send(upload(trailer))
        assert client.read_answer().status == 400
        assert client.read_to_end() == (b"", "close_notify")
    assert trailer not in upstream.received
