"""Scripted upstreams: a thread for each connection runs a function over plain blocking reads and
writes, and keeps every byte that it got."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Self

from tests.strict_tls import StrictSocket

SECONDS = 60.0  # no read or write of a test takes longer
_RESET = struct.pack("ii", 1, 0)


class EndedError(Exception):
    """The proxy closed the connection (or reset it)."""


class UpstreamSide:
    """One accepted connection, as its script sees it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        sock.settimeout(SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self.number = number  # of the connection, from 0
        self.received = bytearray()  # everything, in order
        self.unread = bytearray()
        self.ended = threading.Event()  # the proxy closed its side

    def _more(self) -> None:
        try:
            data = self.sock.recv(1 << 18)
        except (ConnectionError, ssl.SSLEOFError):
            data = b""
        if not data:
            self.ended.set()
            raise EndedError
        self.received += data
        self.unread += data

    def take(self, size: int) -> bytes:
        while len(self.unread) < size:
            self._more()
        taken = bytes(self.unread[:size])
        del self.unread[:size]
        return taken

    def take_until(self, mark: bytes) -> bytes:
        while (found := self.unread.find(mark)) < 0:
            self._more()
        return self.take(found + len(mark))

    def read_head(self) -> bytes:
        return self.take_until(b"\r\n\r\n")

    def read_request(self) -> tuple[bytes, bytes]:
        """Head and body; the framing of a chunked one is taken off."""
        head = self.read_head()
        return head, self.read_body(head)

    def read_body(self, head: bytes) -> bytes:
        low = head.lower()
        if b"\r\ntransfer-encoding: chunked\r\n" in low:
            body = b""
            while size := int(self.take_until(b"\r\n")[:-2], 16):
                body += self.take(size)
                assert self.take(2) == b"\r\n"
            while self.take_until(b"\r\n") != b"\r\n":
                pass
            return body
        _, found, rest = low.partition(b"\r\ncontent-length: ")
        return self.take(int(rest.partition(b"\r\n")[0])) if found else b""

    def read_to_end(self) -> None:
        with contextlib.suppress(EndedError):
            while True:
                self._more()

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.sock.sendall(piece)

    def send_bytewise(self, data: bytes) -> None:
        for i in range(len(data)):
            self.sock.sendall(data[i : i + 1])

    def close(self) -> None:
        self.sock.close()

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()


Script = Callable[[UpstreamSide], None]


class Upstream:
    """A listening app. Its script runs for each connection; `EndedError` ends it quietly.

    With ``tls`` its sockets are `StrictSocket`s, whose close is FIN without close_notify.
    """

    def __init__(
        self, script: Script, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1"
    ) -> None:
        self._script = script
        self._tls = tls
        self.refused: list[OSError] = []  # handshakes that failed
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port: int = self._listener.getsockname()[1]
        self.sides: list[UpstreamSide] = []
        self.errors: list[BaseException] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def accepted(self) -> int:
        return len(self.sides)

    @property
    def received(self) -> bytes:
        """All bytes of all connections, in the order of the connections."""
        return b"".join(bytes(side.received) for side in self.sides)

    def stop_listening(self) -> None:
        """New connections are refused from now on."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            side = UpstreamSide(sock, len(self.sides))
            self.sides.append(side)
            thread = threading.Thread(target=self._run, args=(side,))
            self._threads.append(thread)
            thread.start()

    def _run(self, side: UpstreamSide) -> None:
        try:
            if self._tls is None or self._handshake(side, self._tls):
                self._script(side)
        except (EndedError, ConnectionError, ssl.SSLError):
            pass
        except BaseException as error:
            self.errors.append(error)
        finally:
            side.sock.close()  # not the one that was accepted, with TLS

    def _handshake(self, side: UpstreamSide, tls: ssl.SSLContext) -> bool:
        try:
            side.sock = StrictSocket(side.sock, tls, server_side=True)
        except OSError as error:
            self.refused.append(error)
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop_listening()
        for side in self.sides:
            with contextlib.suppress(OSError):
                side.sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive(), "a script did not end"
        if self.errors and value is None:
            raise self.errors[0]


def response(body: bytes = b"", *fields: bytes, status: bytes = b"200 OK") -> bytes:
    """A complete response with Content-Length."""
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"HTTP/1.1 %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, lines, len(body), body)


def chunked(pieces: Iterable[bytes], *trailers: bytes) -> bytes:
    """A chunked body."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return body + b"0\r\n" + b"".join(line + b"\r\n" for line in trailers) + b"\r\n"


def answer_all(*answers: bytes) -> Script:
    """One connection after the other: reads whole requests, sends the answers in turn; the last
    answer for all further requests."""

    def script(side: UpstreamSide) -> None:
        count = 0
        while True:
            side.read_request()
            side.send(answers[min(count, len(answers) - 1)])
            count += 1

    return script


def answer_then_close(answer: bytes) -> Script:
    """One request on each connection."""

    def script(side: UpstreamSide) -> None:
        side.read_request()
        side.send(answer)

    return script


def echo(side: UpstreamSide) -> None:
    """The body of the request is the body of the response; the target is X-Target."""
    while True:
        head, body = side.read_request()
        side.send(response(body, b"X-Target: " + head.split(b" ")[1]))
