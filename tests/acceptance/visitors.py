"""Clients that come back: they note whether their session was resumed, and end as they are told.

Two of them look at the same thing: ``openssl s_client -sess_out/-sess_in`` ("New" or "Reused") and
Python's ssl (`session_reused`). In TLS 1.3 a session comes behind the handshake, so both read a
reply before they end.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import time
from enum import Enum
from pathlib import Path
from typing import Protocol

from kssl.proxy.demo.truncation.attacker import Attacker
from kssl.proxy.demo.truncation.cut import Cut, How
from kssl.proxy.demo.truncation.records import Direction
from tests.acceptance.services import Running
from tests.needs import need

SECONDS = 20.0
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}

_REQUEST = b"GET /tiny HTTP/1.1\r\nHost: localhost\r\n\r\n"
_REPLY = b"Hello, kssl\n"
_RESET = struct.pack("ii", 1, 0)
_KIND = re.compile(rb"^(New|Reused), TLSv1", re.MULTILINE)


class End(Enum):
    """What a client does behind its reply."""

    CLEAN = "clean"  # close_notify
    FIN = "FIN"  # alone
    RST = "RST"
    SILENT = "timeout"  # nothing, not even when the proxy ends it
    KILLED = "killed"  # SIGKILL of the process that holds the connection


class Visitor(Protocol):
    """One client with its session. `come` and `end` in turn, then at the end `leave`."""

    name: str

    def come(self, end: End) -> bool:
        """Connects and reads a reply; whether the session of the last time was resumed. ``end``
        is how it is going to end."""

    def end(self, end: End) -> None:
        """Returns when the client has done all it will do; of `SILENT` that is nothing."""

    def leave(self) -> None:
        """Lets go of what is left. The proxy must have noticed the end before."""


class PythonVisitor:
    """Python's ssl."""

    name = "python"

    def __init__(self, server: Running, version: str) -> None:
        self._port = server.port
        self._context = ssl.create_default_context(cafile=server.ca)
        self._context.minimum_version = self._context.maximum_version = VERSIONS[version]
        self._session: ssl.SSLSession | None = None
        self._sock: ssl.SSLSocket | None = None

    def come(self, end: End) -> bool:
        plain = socket.create_connection(("127.0.0.1", self._port), SECONDS)
        try:
            sock = self._context.wrap_socket(
                plain, server_hostname="localhost", session=self._session
            )
        except BaseException:
            plain.close()
            raise
        self._sock = sock
        sock.sendall(_REQUEST)
        received = b""
        while not received.endswith(_REPLY):
            piece = sock.recv(65536)
            assert piece, received
            received += piece
        self._session = sock.session
        return bool(sock.session_reused)

    def end(self, end: End) -> None:
        sock = self._sock
        assert sock is not None
        if end is End.CLEAN:
            with contextlib.suppress(OSError):  # with EnableSslCloseNotify=0 there is no answer
                sock.unwrap()
            sock.close()
        elif end is End.FIN:
            sock.shutdown(socket.SHUT_WR)  # from here on it is a plain one
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(65536):
                    pass
        elif end is End.RST:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()
        elif end is End.KILLED:
            # Another process holds the connection when it is killed; with ours it has no more to
            # do, and closing an SSLSocket sends nothing.
            with subprocess.Popen(["sleep", "60"], pass_fds=[sock.fileno()]) as holder:
                sock.close()
                holder.kill()

    def leave(self) -> None:
        if self._sock is not None:
            self._sock.close()


class SClientVisitor:
    """``openssl s_client``. FIN and RST come from a relay that holds its close_notify back."""

    name = "s_client"

    def __init__(self, server: Running, version: str, session: Path) -> None:
        self._server = server
        self._version = version
        self._session = session
        self._process: subprocess.Popen[bytes] | None = None
        self._relay: Attacker | None = None

    def come(self, end: End) -> bool:
        port, hows = self._server.port, {End.FIN: "FIN", End.RST: "RST"}
        if end in hows:
            how: How = "FIN" if end is End.FIN else "RST"
            # Behind the handshake its first record is the request and its second close_notify.
            self._relay = Attacker(port, Cut(Direction.TO_SERVER, record=2, byte=0, how=how))
            port = self._relay.port
        command = [
            need("openssl"), "s_client", f"-tls{self._version.replace('.', '_')}",
            "-connect", f"127.0.0.1:{port}", "-servername", "localhost",
            "-CAfile", self._server.ca, "-verify_return_error", "-sess_out", str(self._session),
        ]  # fmt: skip
        if self._session.exists():
            command += ["-sess_in", str(self._session)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT)
        kind = _KIND.search(_ask(self._process))
        assert kind is not None
        if end is End.SILENT:  # at once: it must not answer when the others take their time
            self._process.send_signal(signal.SIGSTOP)
        return kind[1] == b"Reused"

    def end(self, end: End) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        if end is End.SILENT:
            return
        if end is End.KILLED:
            process.kill()
        process.stdin.close()  # s_client then says close_notify
        process.wait(SECONDS)
        if self._relay is not None:
            assert self._relay.wait(seconds=SECONDS).cut_at is not None, "nothing was held back"

    def leave(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)
            for pipe in (self._process.stdin, self._process.stdout):
                assert pipe is not None
                pipe.close()
        if self._relay is not None:
            self._relay.stop()
        self._process = self._relay = None


def _ask(process: subprocess.Popen[bytes]) -> bytes:
    """All that s_client says up to the end of a reply."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(_REQUEST)
    process.stdin.flush()
    said, deadline = b"", time.monotonic() + SECONDS
    while not said.endswith(_REPLY):
        left = max(deadline - time.monotonic(), 0)
        assert select.select([process.stdout], [], [], left)[0], said
        piece = os.read(process.stdout.fileno(), 65536)
        assert piece, said
        said += piece
    return said
