"""Real sockets on loopback, which the tests allow: servers that are good, slow, and bad."""

from __future__ import annotations

import socket
import threading

import pytest

from kssl.fastpath.verifier.fetch import Allowed, Fetcher, FetchError, Form, Kind, Limits
from tests.fastpath.verifier.fetch.samples import certificate, crl
from tests.fastpath.verifier.fetch.server import Play, moved, ok, serving


def fetcher(port: int, limits: Limits | None = None) -> Fetcher:
    return Fetcher(limits, Allowed.of(["127.0.0.1", "localhost"], ports=[port]))


def error(play: Play | bytes, limits: Limits | None = None, kind: Kind = Kind.CERTIFICATE) -> str:
    with serving(play) as server, pytest.raises(FetchError) as info:
        fetcher(server.port, limits).fetch(f"{server.url}/a", kind)
    assert str(info.value).isprintable()
    return info.value.why


def test_good_ones() -> None:
    with serving(ok(certificate(), "Expires: never")) as server:
        found = fetcher(server.port).fetch(f"{server.url}/a", Kind.CERTIFICATE)
    assert (found.body, found.form, found.seconds) == (certificate(), Form.DER, 300)
    with serving(b"HTTP/1.0 200 OK\r\n\r\n" + crl()) as server:
        assert fetcher(server.port).fetch(f"{server.url}/a", Kind.CRL).body == crl()


def test_by_name() -> None:
    """The system's resolver, and the second address if the first is ::1."""
    with serving(ok(certificate())) as server:
        url = f"http://localhost:{server.port}/a"
        allowed = Allowed.of(["localhost"], ports=[server.port])
        assert Fetcher(allowed=allowed).fetch(url, Kind.CERTIFICATE).body == certificate()


def test_without_being_allowed() -> None:
    with serving(ok(certificate())) as server:
        strict = Fetcher(allowed=Allowed.of([], ports=[server.port]))
        with pytest.raises(FetchError, match="is a loopback address"):
            strict.fetch(f"{server.url}/a", Kind.CERTIFICATE)
        assert server.requests == []


def test_a_redirect() -> None:
    def play(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
        connection.sendall(moved("/b") if head.startswith(b"GET /a ") else ok(certificate()))

    with serving(play) as server:
        found = fetcher(server.port).fetch(f"{server.url}/a", Kind.CERTIFICATE)
    assert found.body == certificate()


def test_a_refused_connection() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nobody listens
        port = bound.getsockname()[1]
        with pytest.raises(FetchError, match="Connection refused"):
            fetcher(port).fetch(f"http://127.0.0.1:{port}/", Kind.CRL)


def trickle(connection: socket.socket, begin: bytes, stop: threading.Event) -> None:
    """A byte now and then, until somebody ends it."""
    connection.sendall(begin)
    while not stop.wait(0.02):
        connection.sendall(b"x")


def drip(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
    trickle(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", stop)


def drip_head(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
    trickle(connection, b"HTTP/1.1 200 OK\r\nX: ", stop)


def silent(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
    stop.wait()


@pytest.mark.parametrize("play", [drip, drip_head, silent])
def test_slow_ones(play: Play) -> None:
    assert "not there within 0.4 s" in error(play, Limits(total=0.4))


def flood(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not stop.is_set():
        connection.sendall(b"4000\r\n" + bytes(0x4000) + b"\r\n")


def bomb(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not stop.is_set():
        connection.sendall(b"1\r\nx\r\n" * 2000)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("play", [flood, bomb])
def test_endless_ones(play: Play, kind: Kind) -> None:
    limits = Limits(certificate_bytes=50_000, crl_bytes=200_000, total=60)
    why = error(play, limits, kind)
    assert ("is larger than" if play is flood else "too many small pieces") in why


def reset(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + certificate()[:100])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
    connection.close()


def test_a_reset_is_no_end() -> None:
    assert "the connection broke" in error(reset)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "not proper HTTP"),
        (b"\x15\x03\x01\0\x02\x02\x46", "not proper HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + certificate()[:-9], "is the file whole"),
        (ok(certificate())[:-9], "not proper HTTP"),
        (ok(b"<html>Log in to this network"), "begins with '<html>"),
        (ok(b"x" * 70_000), "larger than 65536"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000, "not proper HTTP"),
    ],
)
def test_bad_answers(answer: bytes, why: str) -> None:
    assert why in error(answer)


def test_close_ends_a_fetch() -> None:
    asked = threading.Event()

    def play(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
        asked.set()
        stop.wait()

    said: list[str] = []
    with serving(play) as server:
        fetching = fetcher(server.port, Limits(total=60))

        def fetch() -> None:
            try:
                fetching.fetch(f"{server.url}/a", Kind.CRL)
            except FetchError as failure:
                said.append(failure.why)

        thread = threading.Thread(target=fetch)
        thread.start()
        assert asked.wait(60)
        fetching.close()
        thread.join(60)
    assert said == ["kssl stops"]
