"""Thousands of clients that end in every way there is, and how the proxy must have counted it.

Each reads a small reply first, so that the proxy is behind its handshake when the end comes: a
reset overtakes what is in front of it. Silent ones keep their connections until they are let go.
"""

from __future__ import annotations

import os
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.proxy.frontend.clients import Client, request

AT_ONCE = 32

_BODY = b"Hello, kssl\n"
_SMALL_BUFFER = 16 * 1024  # bytes, so that a reply of some megabytes is in the middle
_VERSIONS = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2)


class Guest(Client):
    """One of the crowd."""

    def refuse_a_record(self) -> None:
        """Our OpenSSL gets a record that nobody has sealed, and says so: bad_record_mac."""
        self._in.write(b"\x17\x03\x03\x00\x40" + os.urandom(64))
        try:
            self._tls.read(1)
        except ssl.SSLError:
            self._flush()
        else:
            raise AssertionError("OpenSSL took a record that nobody has sealed")


@dataclass(frozen=True, slots=True)
class Kind:
    """``act`` is what the client does behind its first reply. ``counted`` are the ends that the
    proxy tells in `closes.client`: received from the client, sent to it."""

    name: str
    act: Callable[[Guest], None]
    counted: tuple[str, str]


def _clean(client: Guest) -> None:
    client.close_notify()
    assert client.read_to_end() == (b"", "close_notify")


def _fin(client: Guest) -> None:
    client.fin()
    assert client.read_to_end() == (b"", "close_notify")


def _mid_head(client: Guest) -> None:
    client.send(b"GET /tiny HTTP/1.1\r\nHo")
    _fin(client)


def _mid_body(client: Guest) -> None:
    client.send(request(b"POST", b"/upload", b"Content-Length: 100000") + bytes(5000))
    client.reset()


def _mid_reply(client: Guest) -> None:
    client.send(request(b"GET", b"/bytes/16M"))
    client.take(100_000)
    client.reset()


def _silent(client: Guest) -> None:
    """Nothing at all."""


def _garbage(client: Guest) -> None:
    """A record that nobody can have sealed."""
    client.sock.sendall(b"\x17\x03\x03\x00\x40" + os.urandom(64))
    assert client.read_to_end() == (b"", "cut")


def _alert(client: Guest) -> None:
    """Fatal. It is answered by FIN alone."""
    client.refuse_a_record()
    assert client.sock.recv(1) == b""


_CLEAN = Kind("clean", _clean, ("close_notify", "close_notify"))
KINDS = (
    _CLEAN,
    Kind("FIN", _fin, ("fin", "close_notify")),
    Kind("RST", Client.reset, ("reset", "none")),
    Kind("mid-head", _mid_head, ("fin", "close_notify")),
    Kind("mid-body", _mid_body, ("reset", "none")),
    Kind("mid-reply", _mid_reply, ("reset", "none")),
    Kind("silent", _silent, ("none", "close_notify")),
    Kind("garbage", _garbage, ("none", "alert")),
    Kind("alert", _alert, ("alert", "fin")),
)
# And one that never comes to a session, so it is not counted.
ALL_KINDS = len(KINDS) + 1


class Crowd:
    """`run` as often as you like, then `let_go`. `received` and `sent`: what must be counted."""

    def __init__(self, port: int, ca: str) -> None:
        self.received: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._port = port
        self._contexts = []
        for version in _VERSIONS:
            context = ssl.create_default_context(cafile=ca)
            context.minimum_version = context.maximum_version = version
            self._contexts.append(context)
        self._silent: list[Client] = []
        self._lock = threading.Lock()

    def run(self, count: int) -> None:
        """``count`` clients, all kinds in turn, in both versions of TLS. Raises what
        one raised."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(self._one, range(count)):
                pass

    def fill(self, count: int) -> None:
        """``count`` clean closes in TLS 1.3: what workers keep of sessions, they keep then."""
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for _ in pool.map(lambda _: self._ask_and_end(self._contexts[0], _CLEAN), range(count)):
                pass

    def let_go(self) -> None:
        """Closes what the silent ones have; the proxy must have given them up before."""
        while self._silent:
            self._silent.pop().sock.close()

    def _one(self, number: int) -> None:
        turn, kind = divmod(number, ALL_KINDS)
        context = self._contexts[turn % len(self._contexts)]
        if kind == len(KINDS):
            self._mid_handshake(context, turn)
        else:
            self._ask_and_end(context, KINDS[kind])

    def _ask_and_end(self, context: ssl.SSLContext, kind: Kind) -> None:
        client = Guest(self._port, context, receive_buffer=_SMALL_BUFFER)
        try:
            assert client.ask(target=b"/tiny").body == _BODY
            kind.act(client)
        except BaseException as error:
            client.sock.close()
            raise AssertionError(f"{kind.name}: {error!r}") from error
        with self._lock:
            self.received[kind.counted[0]] += 1
            self.sent[kind.counted[1]] += 1
            if kind.act is _silent:
                self._silent.append(client)
                return
        client.sock.close()

    def _mid_handshake(self, context: ssl.SSLContext, turn: int) -> None:
        """FIN in the middle of the ClientHello or behind it, RST behind the server's flight."""
        with Client(self._port, context, handshake=False) as client:
            hello = client.client_hello()
            how = turn // len(self._contexts) % 3
            client.sock.sendall(hello[: len(hello) // 2] if how == 0 else hello)
            if how < 2:
                client.fin()
                while client.sock.recv(65536):
                    pass
            else:
                assert client.sock.recv(1) == b"\x16"
                client.reset()
