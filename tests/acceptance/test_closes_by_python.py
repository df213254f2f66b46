"""Python's clients close and are closed: its ssl told to be strict, requests, httpx.

Not every Python's ssl is strict when it is told so; `StrictSocket` is, so that no FIN passes for
close_notify here."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator

import httpx
import pytest
import requests

from tests.acceptance.conftest import Figure
from tests.acceptance.replies import BODY, UNREAD, Replies, replies
from tests.acceptance.support import MODES
from tests.acceptance.visitors import VERSIONS
from tests.strict_tls import StrictSocket

pytestmark = pytest.mark.acceptance

every_version = pytest.mark.parametrize("version", VERSIONS)

_SECONDS = 30.0

Tls = ssl.SSLSocket | StrictSocket
Secure = Callable[[socket.socket, ssl.SSLContext], Tls]


def by_socket(plain: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
    return context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)


def by_bio(plain: socket.socket, context: ssl.SSLContext) -> StrictSocket:
    return StrictSocket(plain, context, server_hostname="localhost")


every_socket = pytest.mark.parametrize("secure", [by_socket, by_bio])


@pytest.fixture(scope="module", params=MODES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replies]:
    with replies(request.param, tmp_path_factory.mktemp("replies") / "served") as running:
        yield running


# Request, status and body. HTTP/1.0: the proxy ends the connection; 1.1: when it is idle.
_HOST = b"Host: localhost\r\n"
CASES: dict[str, tuple[bytes, int, bytes]] = {
    "length": (b"GET /length HTTP/1.0\r\n" + _HOST + b"\r\n", 200, BODY),
    "chunked": (b"GET /chunked HTTP/1.0\r\n" + _HOST + b"\r\n", 200, BODY),
    "until close": (b"GET /close HTTP/1.0\r\n" + _HOST + b"\r\n", 200, BODY),
    "HEAD": (b"HEAD /length HTTP/1.0\r\n" + _HOST + b"\r\n", 200, b""),
    "304": (b"GET /304 HTTP/1.0\r\n" + _HOST + b"\r\n", 304, b""),
    "idle": (b"GET /length HTTP/1.1\r\n" + _HOST + b"\r\n", 200, BODY),
}


@every_version
@every_socket
@pytest.mark.parametrize("case", CASES)
def test_strict_ssl(served: Replies, version: str, secure: Secure, case: str) -> None:
    """The reply, close_notify from the proxy, and ours; nothing is raised."""
    request, status, body = CASES[case]
    with connect(served, version, secure) as client:
        client.sendall(request)
        received = read_to_end(client)
        client.unwrap()
    head, _, rest = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert rest == body


@every_version
@every_socket
def test_strict_ssl_refused_before_its_body_is_read(
    served: Replies, version: str, secure: Secure
) -> None:
    head = b"POST /upload HTTP/1.1\r\n" + _HOST + b"Content-Length: %d\r\n\r\n" % len(UNREAD)
    with connect(served, version, secure) as client:
        client.sendall(head + UNREAD)
        assert read_to_end(client).startswith(b"HTTP/1.1 413 ")
        client.unwrap()


def connect(server: Replies, version: str, secure: Secure) -> Tls:
    context = ssl.create_default_context(cafile=server.server.ca)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    plain = socket.create_connection(("127.0.0.1", server.server.port), _SECONDS)
    return secure(plain, context)


def read_to_end(client: Tls) -> bytes:
    """Up to close_notify; a FIN alone would be raised, by Python's own ssl if it notices."""
    received = b""
    while piece := client.recv(1 << 16):
        received += piece
    return received


def test_requests(served: Replies, figure: Figure) -> None:
    with requests.Session() as session:

        def ask(method: str, path: str, data: bytes | None = None) -> tuple[int, bytes]:
            reply = session.request(
                method, served.url + path, data=data, verify=served.server.ca, timeout=_SECONDS
            )
            return reply.status_code, reply.content

        ask_all(served, ask)
    figure(f"no complaint from requests {requests.__version__}")


def test_httpx(served: Replies, figure: Figure) -> None:
    context = httpx.create_ssl_context(verify=True, trust_env=False)
    context.load_verify_locations(served.server.ca)
    with httpx.Client(verify=context, timeout=_SECONDS) as client:

        def ask(method: str, path: str, data: bytes | None = None) -> tuple[int, bytes]:
            reply = client.request(method, served.url + path, content=data)
            return reply.status_code, reply.content

        ask_all(served, ask)
    figure(f"no complaint from httpx {httpx.__version__}")


def ask_all(server: Replies, ask: Callable[..., tuple[int, bytes]]) -> None:
    """Every kind, twice; in between the client's connection is closed for being idle."""
    for _ in range(2):
        for path in ("/length", "/chunked", "/close"):
            assert ask("GET", path) == (200, BODY)
        assert ask("HEAD", "/length") == (200, b"")
        assert ask("GET", "/304") == (304, b"")
        assert ask("POST", "/upload", UNREAD)[0] == 413
        assert ask("GET", "/length") == (200, BODY)
        server.wait_until_closed()
