"""The app of the story, whose sentences mean something else when their end is missing.

    GET /order    "Order 4711: pay Bob EUR 100" and, in a second write, "000.00 until Friday."
                  close-delimited: no Content-Length, the end of the connection is the end
    GET /hello    a short answer with its length
    POST /pay     ``to=Bob&eur=100`` and then ``000.00``: executed when all of it has come

It answers one request for each connection, in plain HTTP or with TLS, and says close_notify.
"""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"

FIRST, REST = "Order 4711: pay Bob EUR 100", "000.00 until Friday."
WHOLE = FIRST + REST
FORM_FIRST, FORM_REST = "to=Bob&eur=100", "000.00"
FORM = FORM_FIRST + FORM_REST

# The two writes must not become one record on their way: whoever relays them reads the first
# before the second is there.
_PAUSE = 0.04  # seconds
_TIMEOUT = 5.0
_MAX_REQUEST = 1 << 16  # bytes

_CLOSE_DELIMITED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]{1,9})\r\n", re.IGNORECASE)


class App:
    """Runs from the beginning to `stop`, on `port` of 127.0.0.1, with TLS if there is a context.

    `executed` are the forms it has acted on, `refused` those that came without their end.
    """

    def __init__(self, context: ssl.SSLContext | None = None, pause: float = _PAUSE) -> None:
        self.executed: list[str] = []
        self.refused: list[str] = []
        self._context = context
        self._pause = pause
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, name="app", daemon=True)
        self._thread.start()
        self._answering: list[threading.Thread] = []

    def stop(self) -> None:
        """Accept no more, and end; again is harmless."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        for thread in (self._thread, *self._answering):
            thread.join(_TIMEOUT)
        self._listener.close()

    def settle(self) -> None:
        """Wait for the answers that are being given."""
        for thread in self._answering:
            thread.join(_TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=[peer], name="app's", daemon=True)
            thread.start()
            self._answering = [*(old for old in self._answering if old.is_alive()), thread]

    def _serve(self, peer: socket.socket) -> None:
        peer.settimeout(_TIMEOUT)
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Whoever goes away early has its reasons; ours are told in `executed`.
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.callback(peer.close)
            if self._context is not None:
                peer = self._context.wrap_socket(peer, server_side=True, suppress_ragged_eofs=False)
                stack.callback(peer.close)
            self._answer(peer)
            _end(peer)

    def _answer(self, peer: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            piece = peer.recv(_MAX_REQUEST)
            if not piece or len(received) > _MAX_REQUEST:
                return
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        if head.startswith(b"POST /pay "):
            self._pay(peer, head + b"\r\n", body)
        elif head.startswith(b"GET /order "):
            peer.sendall(_CLOSE_DELIMITED + FIRST.encode())
            time.sleep(self._pause)
            peer.sendall(REST.encode())
        else:
            peer.sendall(_with_length("Hello."))

    def _pay(self, peer: socket.socket, head: bytes, body: bytes) -> None:
        told = _LENGTH.search(head)
        length = min(int(told[1]), _MAX_REQUEST) if told else 0
        with contextlib.suppress(OSError):  # an end without close_notify, or a reset
            while len(body) < length and (piece := peer.recv(_MAX_REQUEST)):
                body += piece
        form = body.decode("ascii", "replace")
        if not length or len(body) != length:
            self.refused.append(form)
            return
        self.executed.append(form)
        peer.sendall(_with_length(f"Executed: {form}"))


def _with_length(text: str) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(text), text.encode())
    )


def _end(peer: socket.socket) -> None:
    """close_notify, FIN, and what the peer may still send."""
    if isinstance(peer, ssl.SSLSocket):
        peer = peer.unwrap()
    peer.shutdown(socket.SHUT_WR)
    while peer.recv(_MAX_REQUEST):
        pass
