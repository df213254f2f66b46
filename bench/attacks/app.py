"""``python -m kssl.bench.attacks.app FD``: the hostile app, on a listening socket that it inherits.

It does what the path of a request says, for as long as the proxy takes it.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

from kssl.fastpath.ipc.hardening import interpreter

_BLOCK = 64 * 1024
_LARGE = 10 << 20
_STOP_SECONDS = 5.0

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
_CHUNK = b"1\r\nx\r\n"
_INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


def _for_ever(sock: socket.socket, piece: bytes) -> None:
    block = piece * (_BLOCK // len(piece))
    while True:
        sock.sendall(block)


def _chunks(sock: socket.socket) -> None:
    sock.sendall(_CHUNKED)
    _for_ever(sock, _CHUNK)


def _interim(sock: socket.socket) -> None:
    _for_ever(sock, _INTERIM)


def _large(sock: socket.socket) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _LARGE)
    sock.sendall(bytes(_LARGE))


def _drain(sock: socket.socket) -> None:
    while sock.recv(_BLOCK):
        pass


_PATHS: dict[bytes, Callable[[socket.socket], None]] = {
    b"/chunks": _chunks,
    b"/interim": _interim,
    b"/large": _large,
}


def _serve(sock: socket.socket) -> None:
    with sock, contextlib.suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            if not (data := sock.recv(_BLOCK)):
                return
            head += data
        _PATHS.get(head.split(b" ", 2)[1], _drain)(sock)


def main() -> int:
    """Serves until its standard input ends."""
    listener = socket.socket(fileno=int(sys.argv[1]))

    def accept() -> None:
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=_serve, args=(sock,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    sys.stdin.buffer.read()
    return 0


@contextlib.contextmanager
def running() -> Iterator[int]:
    """Its port, while it runs."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:
        port: int = listener.getsockname()[1]
        process = subprocess.Popen(
            [*interpreter(), "-m", "kssl.bench.attacks.app", str(listener.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=(listener.fileno(),),
        )
    try:
        yield port
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
