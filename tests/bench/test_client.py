"""The built-in load generator and the probe, against a server of ours."""

from __future__ import annotations

import http.server
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trustme

from bench import client, scenarios
from bench.errors import BenchError
from bench.probe import probe

TINY = scenarios.choose(["tiny"])[0]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshort")
            self.close_connection = True
            return
        body = TINY.body() if self.path == "/good" else b"x" * 12
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@dataclass
class Server:
    port: int
    ca: str


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as httpd:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Server(httpd.server_address[1], str(path))
        httpd.shutdown()
        thread.join()


def test_client_counts_whole_replies(server: Server) -> None:
    told = client.run(f"https://localhost:{server.port}/good", 2, 0.1, server.ca)
    assert told["errors"] == []
    assert int(str(told["requests"])) >= 2


@pytest.mark.parametrize(("path", "said"), [("/missing", "not a good"), ("/cut", "within a reply")])
def test_client_tells_failures(server: Server, path: str, said: str) -> None:
    told = client.run(f"https://localhost:{server.port}{path}", 1, 0.1, server.ca)
    assert said in str(told["errors"])


def test_probe(server: Server) -> None:
    assert probe(server.port, "/good", TINY, server.ca).tls == "TLSv1.3"


@pytest.mark.parametrize(
    ("path", "said"), [("/missing", "HTTP 404"), ("/bad", "not the bytes"), ("/cut", "https://")]
)
def test_probe_refuses_wrong_replies(server: Server, path: str, said: str) -> None:
    with pytest.raises(BenchError, match=said):
        probe(server.port, path, TINY, server.ca)
