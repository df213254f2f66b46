"""``python -m kssl.bench.attacks.client NAME PORT CA``: one attack, flat out, until its standard
input ends. It says "up" when it has begun.

A connection that the proxy ends is opened again: what ends it is a part of its defence. Nothing is
verified but by the attack that needs the record layer's keys.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from kssl.bench.attacks.kinds import Attack, by_name
from kssl.config.target import UpstreamTls
from kssl.fastpath.record.layer import RecordLayer
from kssl.fastpath.worker.client_handshake import ClientHandshake
from kssl.fastpath.worker.handshake import Established, Failure
from kssl.fastpath.worker.upstreams import Upstreams

_BLOCK = 64 * 1024
_RECORDS = 1000  # in one call to the kernel
_PAUSE = 0.01  # seconds before a connection is opened again: the attack is not the handshake
_TRICKLE = 0.005  # seconds between two bytes of a head
_HELLO = b"\x16\x03\x01\x02\x00"  # a record's header: handshake, 512 bytes
_FIELDS = 150


def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """One connection of the attack after the other."""

    def __init__(self, attack: Attack, port: int, ca: str) -> None:
        self._attack = attack
        self._port = port
        self._ca = ca
        self._context = _tls()

    def run(self) -> None:
        """For ever."""
        once = _KINDS[self._attack.name]
        while True:
            with contextlib.suppress(OSError):
                once(self)
            if once not in (Client.handshakes, Client.garbage):
                time.sleep(_PAUSE)

    # -- connections -----------------------------------------------------------------------

    def _plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._port))

    @contextlib.contextmanager
    def _line(self) -> Iterator[ssl.SSLSocket]:
        with self._plain() as plain:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._context.wrap_socket(plain, server_hostname=self._attack.host) as tls:
                yield tls

    def _head(self, method: str, *fields: str) -> bytes:
        lines = [f"{method} {self._attack.target} HTTP/1.1", f"Host: {self._attack.host}", *fields]
        return "\r\n".join([*lines, "", ""]).encode()

    # -- attacks ---------------------------------------------------------------------------

    def chunks(self) -> None:
        piece = b"1\r\nx\r\n"
        block = piece * (_BLOCK // len(piece))
        with self._line() as line:
            line.sendall(self._head("POST", "Transfer-Encoding: chunked"))
            while True:
                line.sendall(block)

    def reads(self) -> None:
        """The app's attack: its client takes all there is."""
        with self._line() as line:
            line.sendall(self._head("GET"))
            while line.recv(_BLOCK):
                pass

    def records(self) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = self._context.wrap_bio(incoming, outgoing, server_hostname=self._attack.host)
        with self._plain() as plain:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(_BLOCK))
            tls.write(self._head("POST", f"Content-Length: {1 << 40}"))
            while True:
                for _ in range(_RECORDS):
                    tls.write(b"x")
                plain.sendall(outgoing.read())

    def key_updates(self) -> None:
        """With the record layer that we have: Python's `ssl` sends none."""
        upstreams, problems = Upstreams(), list[str]()
        wanted = UpstreamTls("localhost", ca=Path(self._ca))
        told = {"name": "localhost", "ca": self._ca, "certificate": None, "key": None}
        upstreams.use(upstreams.prepare([told], datetime.now(UTC), problems))
        handshake = ClientHandshake(upstreams.connect(wanted.to_json()))
        step = handshake.start()
        with self._plain() as plain:
            while not isinstance(step, Established):
                if isinstance(step, Failure):
                    raise OSError(step.reason)
                plain.sendall(step.data)
                step = handshake.receive(plain.recv(_BLOCK))
            layer = RecordLayer(step.keys)
            head = self._head("POST", f"Content-Length: {1 << 40}")
            plain.sendall(step.flight + layer.seal_bytes(head))
            plain.setblocking(False)
            while True:
                batch = bytearray()
                for _ in range(_RECORDS // 10):
                    batch += layer.seal_bytes(b"x")
                    layer.update_keys()
                    batch += layer.outgoing
                    layer.outgoing.clear()
                plain.setblocking(True)
                plain.sendall(batch)

    def pipelined(self) -> None:
        self._pipeline(self._head("GET"))

    def heads(self) -> None:
        fields = [f"X-{number}: {'y' * 20}" for number in range(_FIELDS)]
        self._pipeline(self._head("GET", *fields))

    def _pipeline(self, head: bytes) -> None:
        block = head * max(1, _BLOCK // len(head))
        with self._line() as line:
            reader = threading.Thread(target=_read_all, args=(line,), daemon=True)
            reader.start()
            while True:
                line.sendall(block)

    def trickle(self) -> None:
        with self._line() as line:
            line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ")
            while True:
                line.sendall(b"y")
                time.sleep(_TRICKLE)

    def handshakes(self) -> None:
        with self._line():
            pass

    def garbage(self) -> None:
        with self._plain() as plain:
            plain.sendall(_HELLO + os.urandom(512))
            plain.recv(_BLOCK)

    def slow_reader(self) -> None:
        with self._line() as line:
            line.sendall(self._head("GET"))
            threading.Event().wait()


def _read_all(line: ssl.SSLSocket) -> None:
    with contextlib.suppress(OSError, ValueError):
        while line.recv(_BLOCK):
            pass


_KINDS: dict[str, Callable[[Client], None]] = {
    "chunks": Client.chunks,
    "chunks-8": Client.chunks,
    "app-chunks": Client.reads,
    "interim": Client.reads,
    "records": Client.records,
    "key-updates": Client.key_updates,
    "pipelined": Client.pipelined,
    "heads": Client.heads,
    "trickle": Client.trickle,
    "handshakes": Client.handshakes,
    "garbage": Client.garbage,
    "slow-readers": Client.slow_reader,
}


def main() -> int:
    """See the top of this file."""
    attack, port, ca = by_name()[sys.argv[1]], int(sys.argv[2]), sys.argv[3]
    for _ in range(attack.connections):
        threading.Thread(target=Client(attack, port, ca).run, daemon=True).start()
    time.sleep(attack.settle)
    print("up", flush=True)
    sys.stdin.buffer.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
