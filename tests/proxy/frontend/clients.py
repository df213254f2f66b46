"""A TLS client that does what the test says, byte by byte and record by record, and sees exactly
how a connection ended."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

SECONDS = 60.0
_RESET = struct.pack("ii", 1, 0)


class ClosedError(Exception):
    """close_notify: nothing is missing."""


class CutError(Exception):
    """An alert, FIN without close_notify, or RST: what came is not to be trusted as complete."""


@dataclass
class Answer:
    """One response."""

    status: int
    head: bytes
    body: bytes = b""
    trailers: bytes = b""
    interim: list[bytes] = field(default_factory=list)

    def get(self, name: bytes) -> bytes | None:
        """A field's value; the name in lower case. One field at most may have it."""
        values = [
            line.partition(b":")[2].strip()
            for line in self.head.split(b"\r\n")[1:]
            if line.lower().startswith(name + b":")
        ]
        assert len(values) < 2
        return values[0] if values else None


class Client:
    """TLS over memory BIOs on a blocking socket."""

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext,
        *,
        handshake: bool = True,
        receive_buffer: int | None = None,
        session: ssl.SSLSession | None = None,
        name: str | None = "localhost",
        host: str = "127.0.0.1",
    ) -> None:
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer is not None:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(SECONDS)
        try:
            self.sock.connect((host, port))
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = context.wrap_bio(self._in, self._out, server_hostname=name, session=session)
            self.unread = bytearray()
            self._fin = False  # the proxy closed its side
            if handshake:
                self.handshake()
        except BaseException:
            self.sock.close()
            raise

    def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                self._flush()
                return

    def client_hello(self) -> bytes:
        """The first flight, not sent."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._out.read()

    def _flush(self) -> None:
        if self._out.pending:
            self.sock.sendall(self._out.read())

    def _fill(self) -> None:
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            raise CutError("reset") from None
        if data:
            self._in.write(data)
        else:
            self._fin = True
            self._in.write_eof()

    @property
    def session(self) -> ssl.SSLSession | None:
        """To come back with, by the same context. In TLS 1.3 it comes with the first answer."""
        return self._tls.session

    @property
    def resumed(self) -> bool:
        return bool(self._tls.session_reused)

    # -- sending ---------------------------------------------------------------------------

    def records(self, *pieces: bytes) -> bytes:
        """One record (or more, above 16 KiB) for each piece, not sent."""
        for piece in pieces:
            self._tls.write(piece)
        return self._out.read()

    def send(self, *pieces: bytes) -> None:
        """Everything in one call to the kernel."""
        self.sock.sendall(self.records(*pieces))

    def send_bytewise(self, data: bytes) -> None:
        """A record for each byte, and a segment for each record."""
        for i in range(len(data)):
            self.send(data[i : i + 1])

    def close_notify(self) -> None:
        """Sends it; reading goes on."""
        with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLError):
            self._tls.unwrap()
        self._flush()

    def fin(self) -> None:
        """FIN without close_notify."""
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.sock.close()

    # -- receiving -------------------------------------------------------------------------

    def more(self) -> None:
        """Adds at least one byte to `unread`. Raises ClosedError or CutError."""
        while True:
            try:
                data = self._tls.read(1 << 18)
            except ssl.SSLWantReadError:
                self._fill()
            except ssl.SSLZeroReturnError:
                raise ClosedError from None
            except ssl.SSLEOFError:
                raise CutError("FIN without close_notify") from None
            except ssl.SSLError as error:
                if error.reason is None or "ALERT" not in error.reason:
                    raise
                raise CutError(error.reason) from None
            else:
                if not data and self._fin:  # Python 3.11.2 has no SSLEOFError for this
                    raise CutError("FIN without close_notify")
                if not data:
                    raise ClosedError
                self.unread += data
                return

    def take(self, size: int) -> bytes:
        while len(self.unread) < size:
            self.more()
        taken = bytes(self.unread[:size])
        del self.unread[:size]
        return taken

    def take_until(self, mark: bytes) -> bytes:
        while (found := self.unread.find(mark)) < 0:
            self.more()
        return self.take(found + len(mark))

    def read_to_end(self) -> tuple[bytes, str]:
        """Everything, and how it ended: "close_notify" or "cut"."""
        try:
            while True:
                self.more()
        except ClosedError:
            return bytes(self.unread), "close_notify"
        except CutError:
            return bytes(self.unread), "cut"

    def read_answer(self, method: bytes = b"GET") -> Answer:
        """One response, with the interim ones before it. Raises ClosedError or CutError."""
        interim = []
        while True:
            head = self.take_until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 "), head
            status = int(head[9:12])
            if status >= 200 or status == 101:
                break
            interim.append(head)
        answer = Answer(status, head, interim=interim)
        if method == b"HEAD" or status in (101, 204, 304):
            return answer
        if answer.get(b"transfer-encoding") == b"chunked":
            assert answer.get(b"content-length") is None
            body = bytearray()
            while size := int(self.take_until(b"\r\n")[:-2], 16):
                body += self.take(size)
                assert self.take(2) == b"\r\n"
            while (line := self.take_until(b"\r\n")) != b"\r\n":
                answer.trailers += line
            answer.body = bytes(body)
        elif (length := answer.get(b"content-length")) is not None:
            answer.body = self.take(int(length))
        else:
            assert answer.get(b"connection") == b"close"
            answer.body, ending = self.read_to_end()
            self.unread.clear()
            assert ending == "close_notify"
        return answer

    def ask(self, method: bytes = b"GET", target: bytes = b"/", *more: bytes) -> Answer:
        """A request without body, and its response."""
        self.send(request(method, target, *more))
        return self.read_answer(method)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.sock.close()


def request(
    method: bytes = b"GET", target: bytes = b"/", *fields: bytes, version: bytes = b"1.1"
) -> bytes:
    """A request's head."""
    lines = b"".join(line + b"\r\n" for line in (b"Host: localhost", *fields))
    return b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version, lines)


def post(body: bytes, *fields: bytes, method: bytes = b"POST") -> bytes:
    """A request with Content-Length."""
    return request(method, b"/", b"Content-Length: %d" % len(body), *fields) + body
