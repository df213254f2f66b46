"""``openssl s_client`` as a client that changes its keys when it is told to.

With ``-brief`` the session's text goes to stderr and stdout has the peer's bytes alone; ``-quiet``
and ``-ign_eof`` would turn the commands off. A command is a read of its standard input that
begins with ``k`` (new keys of ours) or ``K`` (and of the peer's): so nothing else may be in the
pipe at that moment.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator

from kssl.proxy.service.spawn import ProxyProcess
from tests.acceptance.support import TIMEOUT
from tests.needs import need


class SClient:
    """A running s_client. All it receives is handed to ``received`` (another thread)."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._in, self._out, self._err = process.stdin, process.stdout, process.stderr
        self.received = bytearray()
        self.notes = b""
        self._grown = threading.Condition()
        self._threads = [
            threading.Thread(target=self._read), threading.Thread(target=self._read_notes)
        ]  # fmt: skip
        for thread in self._threads:
            thread.start()

    def _read(self) -> None:
        while piece := os.read(self._out.fileno(), 1 << 18):
            with self._grown:
                self.received += piece
                self._grown.notify_all()

    def _read_notes(self) -> None:
        self.notes = self._err.read()

    def send(self, data: bytes) -> None:
        """Data must not begin with a letter that is a command."""
        self._in.write(data)
        self._in.flush()
        self._wait_until_read()

    def update_keys(self, command: bytes) -> None:
        """``k`` or ``K``."""
        self.send(command + b"\n")

    def _wait_until_read(self) -> None:
        # No event tells that the other end has read everything; it takes microseconds.
        deadline = time.monotonic() + TIMEOUT
        while struct.unpack("i", fcntl.ioctl(self._in, termios.FIONREAD, b"\0" * 4))[0]:
            assert self._process.poll() is None, "s_client ended early"
            assert time.monotonic() < deadline, "s_client does not read"
            select.select([], [], [], 0.0005)

    def wait_for(self, size: int) -> None:
        """Until so many bytes were received."""
        with self._grown:
            assert self._grown.wait_for(lambda: len(self.received) >= size, TIMEOUT)

    def wait(self) -> None:
        """Until the server has closed."""
        self._process.wait(TIMEOUT)
        for thread in self._threads:
            thread.join(TIMEOUT)

    @property
    def updates(self) -> int:
        """Key updates that s_client has made; known at the end."""
        return self.notes.count(b"KEYUPDATE")

    @property
    def body(self) -> memoryview:
        head, separator, _ = bytes(self.received[:4096]).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head or self.notes
        return memoryview(self.received)[len(head) + len(separator) :]


@contextlib.contextmanager
def s_client(server: ProxyProcess) -> Iterator[SClient]:
    """Connected to a proxy, with TLS 1.3, until the block ends."""
    assert server.ca is not None
    command = [
        need("openssl"), "s_client", "-brief", "-tls1_3", "-verify_return_error",
        "-connect", f"127.0.0.1:{server.port}", "-servername", "localhost", "-CAfile", server.ca,
    ]  # fmt: skip
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield SClient(process)
        finally:
            process.kill()
