"""TLS that tells FIN from close_notify, in every Python.

`ssl.SSLSocket` may not: what Debian 12's Python 3.11.2 reads at a FIN is b"", with
suppress_ragged_eofs=False too, as if close_notify had come.
"""

from __future__ import annotations

import contextlib
import functools
import socket
import ssl
import threading
from collections.abc import Callable
from typing import TypeVar

import trustme

_READ = 1 << 16  # bytes of records
_RECORD = 1 << 14  # bytes of plaintext in a full one
_SECONDS = 60.0

T = TypeVar("T")


class StrictSocket(socket.socket):
    """`ssl.SSLSocket` with suppress_ragged_eofs=False, over memory BIOs on a blocking socket.

    It takes the descriptor of ``plain`` and shakes hands; when that raises (OSError, such as
    ssl.SSLError), it is closed. `recv`, `send`, `sendall` and `unwrap` speak TLS, what else a
    socket can do is about the connection beneath: `shutdown` and `close` send no close_notify.
    """

    def __init__(
        self,
        plain: socket.socket,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
    ) -> None:
        timeout = plain.gettimeout()
        super().__init__(plain.family, plain.type, plain.proto, fileno=plain.detach())
        try:
            self.settimeout(timeout)
            self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
            self._tls = context.wrap_bio(
                self._in, self._out, server_side=server_side, server_hostname=server_hostname
            )
            self._complete(self._tls.do_handshake)
        except BaseException:
            self.close()
            raise

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Some bytes; b"" for close_notify.

        Raises ssl.SSLEOFError for FIN without it, ConnectionResetError, TimeoutError, and
        ssl.SSLError for an alert. What came in front of these is returned first.
        """
        assert not flags
        try:
            return self._complete(lambda: self._tls.read(size))
        except ssl.SSLZeroReturnError:  # both sides have said it
            return b""

    def send(self, data: bytes, flags: int = 0, /) -> int:  # type: ignore[override]
        """One record at most; returns how many bytes are in it."""
        assert not flags
        record = bytes(data[:_RECORD])
        self._tls.write(record)
        self._flush()
        return len(record)

    def sendall(self, data: bytes, flags: int = 0, /) -> None:  # type: ignore[override]
        """A record for each 16 KiB. The time limit is for each."""
        for start in range(0, len(data), _RECORD):
            self.send(data[start : start + _RECORD], flags)

    def unwrap(self) -> None:
        """close_notify, and the peer's. What is left to do then is `close`.

        Raises as `recv` does, and ssl.SSLError for data in front of the peer's close_notify.
        """
        self._complete(self._tls.unwrap)

    def getpeercert(self) -> object:
        """As `ssl.SSLSocket.getpeercert`."""
        return self._tls.getpeercert()

    def version(self) -> str | None:
        """Such as ``TLSv1.3``."""
        return self._tls.version()

    def _complete(self, step: Callable[[], T]) -> T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # an alert; the error is what counts
                    self._flush()
                raise
            else:
                self._flush()
                return done

    def _flush(self) -> None:
        if self._out.pending:
            super().sendall(self._out.read())

    def _fill(self) -> None:
        """Called when OpenSSL has nothing more to read, so a FIN is in front of nothing. It is
        not told of it: what Python makes of its answer depends on the version."""
        data = super().recv(_READ)
        if not data:
            raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "FIN without close_notify")
        self._in.write(data)


@functools.cache
def python_notices() -> bool:
    """Whether this Python's own `ssl.SSLSocket` raises at a FIN without close_notify when it is
    told to be strict. Seen, not known: it depends on Python and on OpenSSL."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(_SECONDS)
        thread = threading.Thread(target=_says_x_and_goes, args=[listener, server])
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), _SECONDS) as plain,
                client.wrap_socket(
                    plain, server_hostname="localhost", suppress_ragged_eofs=False
                ) as tls,
            ):
                assert tls.recv(10) == b"x"
                try:
                    assert tls.recv(10) == b""
                except ssl.SSLEOFError:
                    return True
                return False
        finally:
            thread.join(_SECONDS)


def _says_x_and_goes(listener: socket.socket, context: ssl.SSLContext) -> None:
    plain, _ = listener.accept()
    plain.settimeout(_SECONDS)
    with StrictSocket(plain, context, server_side=True) as tls:
        tls.sendall(b"x")
