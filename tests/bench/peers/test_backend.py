"""What nginx as the backend does with bodies."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest

from kssl.bench import nginx
from tests.needs import need

SIZE = 10 * 2**20


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    program = nginx.find() or need("nginx", "nginx-light")
    folder = tmp_path_factory.mktemp("backend")
    with nginx.backend(program, folder / "nginx", folder) as process:
        yield process.port


@pytest.mark.parametrize(("path", "size"), [("/upload", SIZE), ("/form", 4096), ("/form", 0)])
def test_takes_bodies_over_one_connection(port: int, path: str, size: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.connect()
    connection.auto_open = 0
    try:
        for _ in range(3):
            connection.request("POST", path, b"x" * size)
            with connection.getresponse() as response:
                assert response.status == 200
                assert response.read() == b"taken\n"
    finally:
        connection.close()


def test_takes_chunks(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/upload", iter([b"x" * 2**20] * 3), encode_chunked=True)
        with connection.getresponse() as response:
            assert response.status == 200
    finally:
        connection.close()


def test_does_not_answer_before_the_last_byte(port: int) -> None:
    head = f"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {SIZE}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(head.encode() + b"x" * (SIZE - 1))
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(60)
        client.sendall(b"x")
        assert client.recv(4096).startswith(b"HTTP/1.1 200 ")
