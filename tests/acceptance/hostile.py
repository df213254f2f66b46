"""Web servers that do not want a verifier to come to an end, and what they have been asked."""

from __future__ import annotations

import contextlib
import gzip
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.fastpath.verifier.fetch.server import Play, Server, moved, ok
from tests.fastpath.verifier.rules.pki import Made

NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_BLOCK = bytes(1 << 16)
_HTML = b"<!DOCTYPE html><html><body>Please log in to this network.</body></html>"


class Hostile(Server):
    """Answers by the first part of the path: "/slow/7" is for `plays["slow"]`."""

    def __init__(self) -> None:
        self.plays: dict[str, Play | bytes] = {}
        self.sent = 0  # bytes that `endless` bodies have got rid of
        super().__init__(self._act)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """All that were ever accepted, whether or not they asked for something."""
        return len(self._connections)

    def asked(self, name: str) -> list[str]:
        """The paths below this part."""
        paths = [head.split(b" ")[1].decode() for head in self.requests]
        return [path for path in paths if path.split("/")[1] == name]

    def _act(self, connection: socket.socket, head: bytes, stop: threading.Event) -> None:
        name = head.split(b" ")[1].decode().split("/")[1]
        play = self.plays.get(name, NOT_FOUND)
        if isinstance(play, bytes):
            connection.sendall(play)
        else:
            play(connection, head, stop)

    def endless(self, head: bytes, piece: bytes = _BLOCK) -> Play:
        """Sends until nobody listens."""

        def play(connection: socket.socket, _: bytes, stop: threading.Event) -> None:
            connection.sendall(head)
            while not stop.is_set():
                connection.sendall(piece)
                self.sent += len(piece)

        return play


def never(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
    stop.wait(60)


def dripping(start: bytes, drop: bytes) -> Play:
    """``drop`` once a second."""

    def play(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
        connection.sendall(start)
        while not stop.wait(1):
            connection.sendall(drop)

    return play


def on_and_on(connection: socket.socket, head: bytes, stop: threading.Event) -> None:
    """Redirects /name/7 to /name/8."""
    path, _, number = head.split(b" ")[1].decode().rpartition("/")
    connection.sendall(moved(f"{path}/{int(number) + 1}"))


_OK = b"HTTP/1.1 200 OK\r\n"


def plays_of(server: Hostile) -> dict[str, Play | bytes]:
    """What is useless whatever was asked for: name → what is done. The path's end is a number."""
    bomb = gzip.compress(bytes(64 << 20))
    return {
        "slow": dripping(_OK + b"Content-Length: 1000\r\n\r\n", b"\x30"),
        "slow-head": dripping(_OK, b"X-More: 1\r\n"),
        "never": never,
        "endless": server.endless(_OK + b"\r\n"),
        "endless-head": server.endless(_OK, b"X-More: %b\r\n" % (b"1" * 1000)),
        "endless-chunks": server.endless(
            _OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n0\r\n" * 1000
        ),
        "interim": server.endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        "gibibyte": server.endless(_OK + b"Content-Length: %d\r\n\r\n" % (1 << 30)),
        "gzip": ok(bomb, "Content-Encoding: gzip"),
        "chain": on_and_on,
        "loop": moved("/loop/0"),
        "garbage": ok(os.urandom(5000)),
        "html": ok(_HTML, "Content-Type: text/html"),
        "nothing": ok(b""),
        "closes": b"",
        "no-http": b"SSH-2.0-OpenSSH_9.2\r\n",
        "error": b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno",
        "cut": _OK + b"Content-Length: 1000\r\n\r\n\x30",
    }


def from_shop(bodies: dict[str, Made | bytes]) -> dict[str, bytes]:
    """Whole answers."""
    return {
        name: ok(body if isinstance(body, bytes) else body.der) for name, body in bodies.items()
    }


@contextmanager
def hostile() -> Iterator[Hostile]:
    server = Hostile()
    try:
        yield server
    finally:
        server.stop()


class Spy:
    """A listener to which nobody may connect, and how many have."""

    def __init__(self, host: str, port: int = 0) -> None:
        self.connections = 0
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                connection.close()


@contextmanager
def spy(host: str, port: int = 0) -> Iterator[Spy]:
    watching = Spy(host, port)
    try:
        yield watching
    finally:
        watching.stop()
