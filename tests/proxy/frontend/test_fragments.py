"""Clients with small buffers: max_fragment_length (RFC 6066 §4), by OpenSSL's and GnuTLS' clients.

Both end the connection at the first record that is too long.
"""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.needs import need
from tests.proxy.frontend.rig import Rig
from tests.proxy.frontend.upstreams import SECONDS, Upstream, UpstreamSide, response

SIZE = 1 << 20
BODY = bytes(range(251)) * (SIZE // 251 + 1)

# Each size, mode and version, but not the full product of them.
CASES = [
    (512, "kernel", "1.3"),
    (512, "kernel", "1.2"),
    (512, "user", "1.3"),
    (512, "user", "1.2"),
    (1024, "kernel", "1.2"),
    (2048, "user", "1.3"),
    (4096, "kernel", "1.3"),
    (4096, "user", "1.2"),
]


def answer_with_digest(side: UpstreamSide) -> None:
    """1 MiB, whose head says what came."""
    head = side.read_head()
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    digest = hashlib.sha256(side.take(length)).hexdigest().encode()
    side.send(response(BODY[:SIZE], b"X-Digest: " + digest))


@pytest.fixture
def serving(rigs: Callable[[str], Rig]) -> Iterator[Callable[[str], Rig]]:
    with ExitStack() as stack:
        used: list[Rig] = []

        def serve(mode: str) -> Rig:
            rig = rigs(mode)
            rig.codec = "auto"
            upstream = stack.enter_context(Upstream(answer_with_digest))
            rig.configure(port=upstream.port)
            used.append(rig)
            return rig

        yield serve
        for rig in used:
            rig.settle()


def ask(command: list[str], request: bytes) -> bytes:
    """Return what the client has received, to the end."""
    done = subprocess.run(
        command, input=request, capture_output=True, timeout=4 * SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


def check(received: bytes, sent: bytes = b"") -> None:
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"HTTP/1.1 200 " in head
    assert body == BODY[:SIZE]
    assert hashlib.sha256(sent).hexdigest().encode() in head


HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"


@pytest.mark.parametrize(("size", "mode", "version"), CASES)
def test_openssl(serving: Callable[[str], Rig], size: int, mode: str, version: str) -> None:
    rig = serving(mode)
    command = [
        *(need("openssl"), "s_client", "-connect", f"127.0.0.1:{rig.port}", "-quiet"),
        *("-servername", "localhost", "-maxfraglen", str(size), f"-tls{version.replace('.', '_')}"),
        *("-CAfile", str(rig.service.ca), "-verify_return_error"),
    ]
    check(ask(command, HEAD % SIZE + BODY[:SIZE]), BODY[:SIZE])


@pytest.mark.parametrize(("size", "mode", "version"), [CASES[0], CASES[3]])
def test_gnutls(serving: Callable[[str], Rig], size: int, mode: str, version: str) -> None:
    """It asks by record_size_limit too, to which OpenSSL does not agree.

    No body goes up: of 1 MiB in records of 512 bytes gnutls-cli 3.7 loses most by itself, also
    towards openssl s_server.
    """
    rig = serving(mode)
    command = [
        *(need("gnutls-cli", "gnutls-bin"), "--port", str(rig.port), "--recordsize", str(size)),
        *("--logfile", "/dev/null", "--x509cafile", str(rig.service.ca)),
        *("--priority", f"NORMAL:-VERS-ALL:+VERS-TLS{version}", "localhost"),
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        watchdog = threading.Timer(4 * SECONDS, process.kill)
        watchdog.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(HEAD % 0)
            process.stdin.flush()
            received = process.stdout.read()  # while its input stays open: its end is the client's
        finally:
            watchdog.cancel()
            process.kill()
    check(received)
