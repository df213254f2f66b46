"""The application itself, straight and without TLS."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
from collections.abc import Iterator

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from kssl.proxy.demo.app import DemoApp
from kssl.proxy.demo.asgi import Message, Scope
from kssl.proxy.demo.process import DemoProcess
from kssl.proxy.demo.stream import BLOCK, pieces, stream_sha256


@pytest.fixture
def client(demo: DemoProcess) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{demo.port}", trust_env=False) as client:
        yield client


def _download(client: httpx.Client, path: str) -> tuple[httpx.Response, int, str]:
    count, digest = 0, hashlib.sha256()
    with client.stream("GET", path) as response:
        for piece in response.iter_raw():
            count += len(piece)
            digest.update(piece)
    return response, count, digest.hexdigest()


def test_tiny(client: httpx.Client) -> None:
    response = client.get("/tiny")
    assert response.content == b"Hello, kssl\n"
    assert response.headers["content-type"] == "text/plain"


@pytest.mark.parametrize(
    "length", [0, 1, len(BLOCK) - 1, len(BLOCK), len(BLOCK) + 1, 20 * 2**20 + 3]
)
@pytest.mark.parametrize("chunked", [False, True])
def test_download(client: httpx.Client, length: int, chunked: bool) -> None:
    path = f"/bytes/{length}" + ("?chunked=1" if chunked else "")
    response, count, digest = _download(client, path)
    assert response.status_code == 200
    assert (count, digest) == (length, stream_sha256(length))
    if chunked:
        assert response.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in response.headers
    else:
        assert response.headers["content-length"] == str(length)


def test_download_with_a_suffix(client: httpx.Client) -> None:
    assert _download(client, "/bytes/3K")[1] == 3072


@pytest.mark.parametrize("path", ["/bytes/x", "/bytes/", "/bytes/-1", "/bytes/2000G"])
def test_download_of_no_length(client: httpx.Client, path: str) -> None:
    assert client.get(path).status_code == 400


def test_head_has_the_length_and_no_content(client: httpx.Client) -> None:
    for path, length in (("/bytes/1024G", str(2**40)), ("/tiny", "12")):
        response = client.head(path)
        assert response.status_code == 200
        assert response.headers["content-length"] == length
    # The connection is fit for the next request.
    assert client.get("/tiny").content == b"Hello, kssl\n"


def test_a_client_that_leaves_a_download_hinders_nobody(
    demo: DemoProcess, client: httpx.Client
) -> None:
    with socket.create_connection(("127.0.0.1", demo.port), timeout=60) as gone:
        gone.sendall(b"GET /bytes/1024G HTTP/1.1\r\nHost: app\r\n\r\n")
        assert gone.recv(65536)
    assert client.get("/tiny", timeout=60).status_code == 200


@pytest.mark.asyncio
async def test_a_download_ends_when_its_client_has_gone() -> None:
    # As uvicorn does then: send() returns at once and never gives way.
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    scope: Scope = {
        "type": "http",
        "method": "GET",
        "path": "/bytes/16G",
        "query_string": b"",
        "headers": [],
    }
    await DemoApp()(scope, receive, send)
    assert len(sent) < 100


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("chunked", [False, True])
def test_upload(client: httpx.Client, method: str, chunked: bool) -> None:
    length = 5 * 2**20 + 7
    headers = {"content-type": "application/x-demo"}
    if not chunked:
        headers["content-length"] = str(length)
    response = client.request(method, "/upload", content=pieces(length), headers=headers)
    assert response.json() == {
        "bytes": length,
        "sha256": stream_sha256(length),
        "content_type": "application/x-demo",
        "chunked": chunked,
    }


def test_upload_of_nothing(client: httpx.Client) -> None:
    answer = client.post("/upload").json()
    assert answer["bytes"] == 0
    assert answer["sha256"] == hashlib.sha256().hexdigest()
    assert answer["content_type"] is None


def test_the_pages_form_without_scripts(client: httpx.Client) -> None:
    answer = client.post("/upload", files={"file": ("a.txt", b"hello")}).json()
    assert answer["content_type"].startswith("multipart/form-data; boundary=")
    assert answer["bytes"] > 5


@pytest.mark.parametrize("chunked", [False, True])
def test_echo(client: httpx.Client, chunked: bool) -> None:
    content = b"".join(pieces(300_000))
    body = iter([content]) if chunked else content
    response = client.post("/echo", content=body, headers={"content-type": "text/x-demo"})
    assert response.content == content
    assert response.headers["content-type"] == "text/x-demo"
    assert ("transfer-encoding" in response.headers) is chunked
    assert client.post("/echo").content == b""


def test_request_json(demo: DemoProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", demo.port, timeout=60)
    connection.putrequest("OPTIONS", "/request.json?a=1&b=%3c", skip_accept_encoding=True)
    for name, value in (("X-Two", "one"), ("x-two", "two"), ("X-Forwarded-For", "192.0.2.1")):
        connection.putheader(name, value)
    connection.putheader("X-Latin", "caf\xe9".encode("latin-1"))
    connection.endheaders()
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert answer["method"] == "OPTIONS"
    assert answer["target"] == "/request.json?a=1&b=%3c"
    assert answer["http_version"] == "1.1"
    assert answer["headers"][1:] == [
        ["x-two", "one"],
        ["x-two", "two"],
        ["x-forwarded-for", "192.0.2.1"],
        ["x-latin", "caf\xe9"],
    ]
    # The connection's own address, whatever the header says.
    assert answer["client"].startswith("127.0.0.1:")
    assert answer["tls"] is None


def test_request_json_behind_kssl(client: httpx.Client) -> None:
    headers = {"x-kssl-tls-version": "TLSv1.3", "x-kssl-mode": "kernel"}
    answer = client.get("/request.json", headers=headers).json()
    assert answer["tls"] == {
        "version": "TLSv1.3",
        "cipher": None,
        "mode": "kernel",
        "engine": None,
    }


def test_slow(client: httpx.Client) -> None:
    assert client.get("/slow?seconds=0.01").text == "after 0.01 s\n"
    for seconds in ("31", "-1", "nan", "x"):
        assert client.get("/slow", params={"seconds": seconds}).status_code == 400


@pytest.mark.parametrize("status", [200, 204, 205, 299, 301, 304, 400, 418, 503, 599])
def test_status(client: httpx.Client, status: int) -> None:
    response = client.get(f"/status/{status}")
    assert response.status_code == status
    assert bool(response.content) is (status not in (204, 205, 304))
    assert client.get("/tiny").status_code == 200


@pytest.mark.parametrize("status", ["100", "199", "600", "99999999", "x", "", "-200", "²00"])
def test_no_status(client: httpx.Client, status: str) -> None:
    assert client.get(f"/status/{status}").status_code == 400


@pytest.mark.parametrize("path", ["/nothing", "/tiny/", "/bytes", "/upload/x", "/favicon.ico"])
def test_not_found(client: httpx.Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404
    assert response.json()["error"] == "Not Found"


def test_not_found_for_a_browser(client: httpx.Client) -> None:
    response = client.get("/%3Cscript%3E", headers={"accept": "text/html,*/*"})
    assert response.status_code == 404
    assert "&lt;script&gt;" in response.text
    assert "<script" not in response.text


def test_method_not_allowed(client: httpx.Client) -> None:
    response = client.get("/upload")
    assert response.status_code == 405
    assert response.headers["allow"] == "POST, PUT"


def test_an_answer_before_the_body_was_read(client: httpx.Client) -> None:
    assert client.post("/nothing", content=b"x" * 300_000).status_code == 404
    assert client.get("/tiny").status_code == 200


def test_websocket_echo(demo: DemoProcess) -> None:
    with connect(f"ws://127.0.0.1:{demo.port}/ws", max_size=None, proxy=None) as socket_:
        for message in ("", "héllo", b"", b"\x00\xff", b"".join(pieces(2**20))):
            socket_.send(message)
            assert socket_.recv(10) == message
        socket_.send(["in ", "fragments"])
        assert socket_.recv(10) == "in fragments"


def test_websocket_limit(demo: DemoProcess) -> None:
    content = bytes(16 * 2**20)
    with connect(f"ws://127.0.0.1:{demo.port}/ws", max_size=None, proxy=None) as socket_:
        socket_.send(content)
        assert socket_.recv(30) == content


def test_websocket_beyond_the_limit(demo: DemoProcess) -> None:
    # Only the frame's head: with a payload left unread, the reset could overtake the answer.
    head = b"\x82\xff" + (16 * 2**20 + 1).to_bytes(8, "big") + b"mask"
    with socket.create_connection(("127.0.0.1", demo.port), timeout=60) as peer:
        peer.sendall(
            b"GET /ws HTTP/1.1\r\nHost: app\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        assert peer.recv(4096).startswith(b"HTTP/1.1 101 ")
        peer.sendall(head)
        answer = peer.recv(4096)
    assert answer[0] == 0x88
    assert int.from_bytes(answer[2:4], "big") == 1009


def test_no_websocket_elsewhere(demo: DemoProcess) -> None:
    with (
        pytest.raises(InvalidStatus, match="404"),
        connect(f"ws://127.0.0.1:{demo.port}/tiny", proxy=None),
    ):
        pass
