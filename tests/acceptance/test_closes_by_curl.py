"""curl, openssl s_client and gnutls-cli close, and are closed, without a word about it."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Figure
from tests.acceptance.replies import BODY, UNREAD, Replies, replies
from tests.acceptance.support import MODES
from tests.needs import need

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.parametrize("version", ["1.2", "1.3"]),
]

_SECONDS = 30.0

# What clients say of an end that they did not expect.
COMPLAINT = re.compile(
    rb"abruptly|missing close_notify|unexpected eof|non-properly terminated|alert(?!, close notify)"
    rb"|errno|reset by peer|broken pipe|SSL_read|SSL_write|SSL_shutdown|fatal",
    re.IGNORECASE,
)


@pytest.fixture(scope="module", params=MODES)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replies]:
    with replies(request.param, tmp_path_factory.mktemp("replies") / "served") as running:
        yield running


def quiet(done: subprocess.CompletedProcess[bytes]) -> bytes:
    """What a client has said beside the reply, with no complaint in it."""
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    complaint = COMPLAINT.search(done.stderr)
    assert complaint is None, done.stderr.decode(errors="replace")
    return done.stderr


# -- curl --------------------------------------------------------------------------------------


def curl(server: Replies, version: str, *options: str) -> tuple[bytes, bytes]:
    """What it got and what it said of it."""
    command = [need("curl"), "-q", "--verbose", "--silent", "--show-error", "--noproxy", "*"]
    command += [f"--tlsv{version}", "--tls-max", version, "--cacert", server.server.ca]
    done = subprocess.run([*command, *options], capture_output=True, check=False, timeout=_SECONDS)
    said = quiet(done)
    assert f"SSL connection using TLSv{version}".encode() in said
    return done.stdout, said


@pytest.mark.parametrize("http", ["1.0", "1.1"])
@pytest.mark.parametrize("path", ["/length", "/chunked", "/close"])
def test_curl_one_reply(served: Replies, version: str, http: str, path: str) -> None:
    got, said = curl(served, version, f"--http{http}", served.url + path)
    assert got == BODY
    if http == "1.0" and path != "/length":  # it has read to the end, but would take any for it
        assert b"(IN), TLS alert, close notify" in said


def test_curl_without_body(served: Replies, version: str) -> None:
    got, _ = curl(served, version, "--head", f"{served.url}/length")
    assert f"content-length: {len(BODY)}".encode() in got.lower()
    got, said = curl(served, version, f"{served.url}/304")
    assert got == b""
    assert b"< HTTP/1.1 304" in said


@pytest.mark.parametrize("expect", ["Expect:", "Expect: 100-continue"])
def test_curl_refused_before_its_body_is_read(
    served: Replies, tmp_path: Path, version: str, expect: str
) -> None:
    body = tmp_path / "body"
    body.write_bytes(UNREAD)
    _, said = curl(
        served, version, "--header", expect, "--data-binary", f"@{body}", f"{served.url}/upload"
    )
    assert b"< HTTP/1.1 413" in said


def test_curl_keeps_alive(served: Replies, figure: Figure, version: str) -> None:
    urls = [served.url + path for path in ("/length", "/chunked", "/length")]
    got, said = curl(served, version, *urls)
    assert got == BODY * 3
    assert said.count(b"Re-using existing connection") == 2
    figure("three replies on one connection, and no complaint")


def test_curl_is_closed_for_being_idle(served: Replies, version: str) -> None:
    """The second transfer begins 2.5 s behind the first, on another connection."""
    urls = [f"{served.url}/length"] * 2
    got, said = curl(served, version, "--rate", "24/m", *urls)
    assert got == BODY * 2
    assert said.count(b"SSL connection using") == 2


# -- clients that are no clients of HTTP ---------------------------------------------------------


CASES = {
    "length": b"GET /length HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "chunked": b"GET /chunked HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "until close": b"GET /close HTTP/1.0\r\nHost: localhost\r\n\r\n",
    "HEAD": b"HEAD /length HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "304": b"GET /304 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "413": b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n" + UNREAD,
    "idle": b"GET /length HTTP/1.1\r\nHost: localhost\r\n\r\n",
}
STATUS = {"304": b"304", "413": b"413"}


@pytest.mark.parametrize("case", CASES)
def test_s_client(served: Replies, version: str, case: str) -> None:
    command = [need("openssl"), "s_client", "-quiet", "-verify_quiet", "-verify_return_error"]
    command += [f"-tls{version.replace('.', '_')}", "-CAfile", served.server.ca]
    command += ["-servername", "localhost", "-connect", f"127.0.0.1:{served.server.port}"]
    check_by_hand(command, case)


@pytest.mark.parametrize("case", CASES)
def test_gnutls(served: Replies, version: str, case: str) -> None:
    command = [need("gnutls-cli", "gnutls-bin"), "--logfile=/dev/stderr"]
    command += [f"--priority=NORMAL:-VERS-ALL:+VERS-TLS{version}"]
    command += [f"--x509cafile={served.server.ca}", f"--port={served.server.port}", "localhost"]
    check_by_hand(command, case)


def check_by_hand(command: list[str], case: str) -> None:
    """The client's input stays open, so that it is the proxy that ends the connection."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ends with the connection: 413
            process.stdin.write(CASES[case])
            process.stdin.flush()
        stdin, process.stdin = process.stdin, None
        try:
            stdout, stderr = process.communicate(timeout=_SECONDS)
        finally:
            stdin.close()
            process.kill()
    quiet(subprocess.CompletedProcess(command, process.returncode, stdout, stderr))
    assert b"HTTP/1.1 " + STATUS.get(case, b"200") in stdout
    if case in ("length", "until close", "idle", "chunked"):
        assert stdout.endswith(BODY)
