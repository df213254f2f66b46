"""One connection of the client, with TLS or without."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import ssl
from collections.abc import Generator

from kssl.bench.load.builtin.loop import Loop, Steps, Wait

_WANTS = (ssl.SSLWantReadError, BlockingIOError)


class Stream:
    """Made by `open_stream`."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self._loop = loop
        self._socket = sock
        self._readable = (sock.fileno(), select.EPOLLIN)
        self._writable = (sock.fileno(), select.EPOLLOUT)

    @property
    def reused(self) -> bool:
        """Whether the handshake resumed a session."""
        return isinstance(self._socket, ssl.SSLSocket) and bool(self._socket.session_reused)

    @property
    def session(self) -> ssl.SSLSession | None:
        """The newest; with TLS 1.3 there is none before the first data has been read."""
        return self._socket.session if isinstance(self._socket, ssl.SSLSocket) else None

    def shake_hands(self) -> Steps:
        sock = self._socket
        assert isinstance(sock, ssl.SSLSocket)
        while True:
            try:
                sock.do_handshake()
                return
            except ssl.SSLWantReadError:
                yield self._readable
            except ssl.SSLWantWriteError:
                yield self._writable

    def send(self, data: bytes) -> Steps:
        """All of it."""
        sent = 0
        view = memoryview(data)
        while sent < len(data):
            try:
                sent += self._socket.send(view[sent:])
            except (ssl.SSLWantWriteError, BlockingIOError):
                yield self._writable
            except ssl.SSLWantReadError:
                yield self._readable

    def wait(self) -> Steps:
        """Until there is something to read: cheaper than to try when there is nothing yet."""
        yield self._readable

    def receive(self, buffer: memoryview) -> Generator[Wait, None, int]:
        """At least one byte. Raises ConnectionError at the end of the stream."""
        while True:
            try:
                got = self._socket.recv_into(buffer)
            except _WANTS:
                yield self._readable
                continue
            if not got:
                raise ConnectionError("the proxy closed the connection too early")
            return got

    def expect_end(self) -> Steps:
        """Until the other side closes. Raises ConnectionError if it sends more instead."""
        buffer = memoryview(bytearray(1))
        while True:
            try:
                got = self._socket.recv_into(buffer)
            except _WANTS:
                yield self._readable
                continue
            if got:
                raise ConnectionError("bytes behind the reply")
            return

    def expect_silence(self) -> Steps:
        """For ever. Raises ConnectionError if the other side sends anything or closes."""
        yield from self.expect_end()
        raise ConnectionError("the proxy closed an idle connection")

    def close(self) -> None:
        """With close_notify, without waiting for the other side's."""
        if isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError):
                self._socket.unwrap()
        self._loop.forget(self._readable[0])
        self._socket.close()


def open_stream(
    loop: Loop,
    address: tuple[str, int],
    context: ssl.SSLContext | None,
    session: ssl.SSLSession | None = None,
) -> Generator[Wait, None, Stream]:
    """Connects, and shakes hands if there is a context."""
    plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    plain.setblocking(False)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if (error := plain.connect_ex(("127.0.0.1", address[1]))) == errno.EINPROGRESS:
        yield plain.fileno(), select.EPOLLOUT
        error = plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise ConnectionError(f"cannot connect to {address[0]}:{address[1]}: {os.strerror(error)}")
    if context is None:
        return Stream(loop, plain)
    # The socket keeps its descriptor; what the loop knows of it stays right.
    stream = Stream(
        loop,
        context.wrap_socket(
            plain, server_hostname=address[0], do_handshake_on_connect=False, session=session
        ),
    )
    yield from stream.shake_hands()
    return stream
