"""A reply that is cut between the proxy and its client, and what clients that check make of it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import h11

from kssl.proxy.demo.truncation.attacker import HOST, Attacker
from kssl.proxy.demo.truncation.link import Link
from kssl.proxy.demo.truncation.records import Direction
from tests.proxy.frontend.clients import SECONDS, Client, request
from tests.proxy.frontend.cuts.stage import cut_at, however_it_ends, sizes_of
from tests.proxy.frontend.upstreams import Script, UpstreamSide, chunked
from tests.strict_tls import python_notices

BODY = b"Order 4711: pay Bob EUR 100000.00 until Friday, or else."
WHOLE, CUT = "close_notify", "cut"


@dataclass(frozen=True)
class Framing:
    """How the app tells the end of a body, and what it is asked with (and so what the client
    gets)."""

    name: str
    version: bytes

    @property
    def ask(self) -> bytes:
        return request(
            b"GET", b"/" + self.name.encode(), b"Connection: close", version=self.version
        )


LENGTH = Framing("length", b"1.1")
CHUNKED = Framing("chunked", b"1.1")
REWRAPPED = Framing("close", b"1.1")  # by the end at the app, in chunks at the client
CLOSE = Framing("close", b"1.0")
LENGTH_1_0 = Framing("length", b"1.0")
FRAMINGS = (LENGTH, CHUNKED, REWRAPPED, CLOSE)


def name_of(framing: Framing) -> str:
    return f"{framing.name}-{framing.version.decode()}"


def answer(framing: bytes, body: bytes) -> bytes:
    """All of it, as the app says it. In one piece, so that records do not depend on timing."""
    if framing == b"length":
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    if framing == b"chunked":
        half = (len(body) + 1) // 2
        pieces = filter(None, [body[:half], body[half:]])  # an empty chunk would be the last one
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(pieces)
    assert framing == b"close"
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body


def app(body: bytes) -> Script:
    """One connection for each request; the path says the framing."""

    def script(side: UpstreamSide) -> None:
        head, _ = side.read_request()
        side.send(answer(head.split(b" ")[1][1:], body))

    return script


# -- clients -------------------------------------------------------------------------------

Read = Callable[[int, ssl.SSLContext, bytes], tuple[bytes, str]]


def by_records(port: int, context: ssl.SSLContext, ask: bytes) -> tuple[bytes, str]:
    """What came, and "close_notify" or "cut". Answers a close_notify by its own."""
    got, ending = b"", CUT
    with however_it_ends(), Client(port, context) as client:
        client.send(ask)
        got, ending = client.read_to_end()
        client.close_notify()
    return got, ending


def by_python(port: int, context: ssl.SSLContext, ask: bytes) -> tuple[bytes, str]:
    """The same by `ssl` as it is used with sockets, told to check. See `tells`."""
    got = b""
    try:
        with (
            socket.create_connection((HOST, port), SECONDS) as plain,
            context.wrap_socket(
                plain, server_hostname="localhost", suppress_ragged_eofs=False
            ) as tls,
        ):
            tls.sendall(ask)
            while piece := tls.recv(1 << 16):
                got += piece
    except TimeoutError:
        raise
    except OSError:
        return got, CUT
    return got, WHOLE


def tells(read: Read, how: str) -> bool:
    """Whether that client can tell such a cut from an end. `by_python` cannot tell FIN from
    close_notify where Python itself does not: it is asked for a reset alone there."""
    return read is not by_python or how != "FIN" or python_notices()


def by_framing(received: bytes) -> bytes | None:
    """What a client takes for a complete body that looks at HTTP alone; None: it complains.

    Where only the end of the connection tells, that is everything: this client must not be asked.
    """
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "localhost")]))
    parser.send(h11.EndOfMessage())
    body = b""
    try:
        parser.receive_data(received)
        parser.receive_data(b"")
        while True:
            event = parser.next_event()
            if isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return body
            elif isinstance(event, h11.ConnectionClosed | h11.PAUSED | h11.NEED_DATA):
                return None
    except h11.RemoteProtocolError:
        return None


# -- the attack ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Honest:
    """A reply that nobody cuts: its plaintext, and the sizes of its records."""

    plaintext: bytes
    sizes: list[int]

    @property
    def total(self) -> int:
        return sum(self.sizes)


def honest(attacker: Attacker, context: ssl.SSLContext, framing: Framing, body: bytes) -> Honest:
    """Plays it without a cut, and finds it whole."""
    got, ending, link = play(attacker, context, framing, by_records, None)
    assert ending == WHOLE
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert by_framing(got) == body
    return Honest(got, sizes_of(link, Direction.TO_CLIENT))


def play(
    attacker: Attacker,
    context: ssl.SSLContext,
    framing: Framing,
    read: Read,
    offset: int | None,
    how: str = "FIN",
) -> tuple[bytes, str, Link]:
    """One connection."""
    wait = cut_at(attacker, Direction.TO_CLIENT, offset, how)
    got, ending = read(attacker.port, context, framing.ask)
    return got, ending, wait()


def attack(
    attacker: Attacker,
    context: ssl.SSLContext,
    framing: Framing,
    expected: Honest,
    body: bytes,
    *,
    read: Read,
    how: str,
    offsets: Iterable[int],
) -> list[str]:
    """Cuts at each of the offsets; returns where a client was fooled, or noticed what was not."""
    failures: list[str] = []
    for offset in offsets:
        got, ending, link = play(attacker, context, framing, read, offset, how)
        wrong = _judge(expected, body, framing, offset, got, ending)
        seen = sizes_of(link, Direction.TO_CLIENT)
        if not wrong and sum(seen) > expected.total:
            wrong = f"other records than without a cut: {seen}, {expected.sizes}"
        if wrong:
            failures.append(f"{how} behind byte {offset} of {expected.total}: {wrong}")
    return failures


def _judge(
    expected: Honest, body: bytes, framing: Framing, offset: int, got: bytes, ending: str
) -> str:
    """What is wrong, or nothing."""
    due = WHOLE if offset >= expected.total else CUT
    if ending != due:
        return f"ended by {ending}, {due} is right; {len(got)} of {len(expected.plaintext)} bytes"
    if not expected.plaintext.startswith(got) or (due == WHOLE and got != expected.plaintext):
        return f"not what was sent: {got!r}"
    if framing is not CLOSE and by_framing(got) not in (None, body):
        return f"by its framing a part passes for the whole: {got!r}"
    return ""
