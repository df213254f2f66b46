"""Servers that play an upstream on a socket: Python's ``ssl`` in a thread, and openssl's."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from tests.fastpath.harness import PATIENCE, Accepted, until
from tests.fastpath.worker.servers import Pki
from tests.needs import need

Script = Callable[[ssl.SSLSocket], bytes]


def server_context(pki: Pki, *, tls13: bool, client_ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    version = ssl.TLSVersion.TLSv1_3 if tls13 else ssl.TLSVersion.TLSv1_2
    context.minimum_version = context.maximum_version = version
    context.load_cert_chain(pki.ecdsa)
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_ca)
    return context


class Served:
    """A server's end in a thread: TLS, then ``script``. ``result`` waits for what that returns."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, script: Script) -> None:
        sock.settimeout(PATIENCE)
        self._sock = sock
        self._context = context
        self._script = script
        self._returned: bytes | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._context.wrap_socket(self._sock, server_side=True) as wrapped:
                self._returned = self._script(wrapped)
        except BaseException as error:
            self._error = error
        finally:
            self._sock.close()

    async def result(self) -> bytes:
        await until(lambda: not self._thread.is_alive(), "the server is done")
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._returned is not None
        return self._returned


def read_exactly(sock: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = sock.recv(65536)
        assert part, "the client ended too early"
        data += part
    return data


async def connected(accepted: Accepted) -> None:
    await until(lambda: accepted.decided, "handshake")
    assert accepted.failure is None, accepted.failure


class SServer:
    """The command line tool. It reads commands from its standard input: `K` is a KeyUpdate that
    asks for ours."""

    def __init__(self, pki: Pki, *options: str) -> None:
        self.process = subprocess.Popen(
            [
                *(need("openssl"), "s_server", "-accept", "127.0.0.1:0", "-naccept", "1"),
                *("-cert", str(pki.ecdsa), "-key", str(pki.ecdsa), *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        assert self.process.stdout is not None
        self.port = 0
        for line in self.process.stdout:
            if line.startswith(b"ACCEPT"):
                self.port = int(line.rpartition(b":")[2])
                break
        assert self.port, "it did not start"
        os.set_blocking(self.process.stdout.fileno(), False)
        self.said = b""

    def type(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def has_said(self, what: bytes) -> bool:
        assert self.process.stdout is not None
        self.said += self.process.stdout.read() or b""
        return what in self.said

    def connect(self) -> socket.socket:
        sock = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        sock.setblocking(False)
        return sock

    def end(self) -> None:
        self.process.kill()
        self.process.communicate()
