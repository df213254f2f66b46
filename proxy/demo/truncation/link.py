"""One connection through the attacker: two sockets, two directions, at most one cut."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
from dataclasses import dataclass

from kssl.proxy.demo.truncation.cut import Cut, Gate
from kssl.proxy.demo.truncation.records import Direction, Observer, Record

_READ = 1 << 16  # bytes
# l_onoff 1, l_linger 0: close sends RST instead of FIN (socket(7)).
_RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class _ResetError(Exception):
    """A side has gone without FIN."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__()
        self.sock = sock


@dataclass(slots=True, eq=False)
class _Way:
    """One direction. Its source is the other one's sink."""

    direction: Direction
    source: socket.socket
    sink: socket.socket
    gate: Gate | None
    backlog: bytes = b""
    ended: bool = False  # the source sends no more
    closed: bool = False  # the sink has its FIN (or RST), real or forged


class Link:
    """`run` relays until both directions are over. The rest may be read from other threads.

    `cut_at`: the number of the record that was cut and how many of its bytes have passed, header
    included; None: nothing was cut. `passed`: bytes, the handshake's among them. `swallowed`:
    bytes that came behind the cut. `over`: both sockets are closed.
    """

    def __init__(self, client: socket.socket, server: socket.socket, cut: Cut | None) -> None:
        self.cut = cut
        self.cut_at: tuple[int, int] | None = None
        self.passed = dict.fromkeys(Direction, 0)
        self.swallowed = 0
        self.over = False
        self._observer = Observer()
        self._ways = (
            _Way(Direction.TO_SERVER, client, server, self._gate(Direction.TO_SERVER)),
            _Way(Direction.TO_CLIENT, server, client, self._gate(Direction.TO_CLIENT)),
        )
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def tls13(self) -> bool:
        return self._observer.tls13

    def records(self, direction: Direction) -> list[Record]:
        """Those behind the handshake; also those that were held back."""
        return self._observer.records(direction)

    def run(self, stop: socket.socket) -> None:
        """Relay; until ``stop`` is readable, if that comes first. Closes both sockets."""
        try:
            while not all(way.ended and not way.backlog for way in self._ways):
                if stop.fileno() in self._wait(stop):
                    break
                for way in self._ways:
                    self._move(way)
        except _ResetError as reset:
            self._pass_on(reset.sock)
        finally:
            for way in self._ways:
                way.source.close()
            self.over = True

    def _gate(self, direction: Direction) -> Gate | None:
        if self.cut is None or self.cut.direction is not direction:
            return None
        return Gate(self.cut, self._observer)

    def _wait(self, stop: socket.socket) -> set[int]:
        poll = select.poll()
        poll.register(stop, select.POLLIN)
        wanted: dict[socket.socket, int] = {}
        for way in self._ways:
            if way.backlog:
                wanted[way.sink] = wanted.get(way.sink, 0) | select.POLLOUT
            elif not way.ended:
                wanted[way.source] = wanted.get(way.source, 0) | select.POLLIN
        for sock, events in wanted.items():
            poll.register(sock, events)
        return {descriptor for descriptor, _ in poll.poll()}

    def _move(self, way: _Way) -> None:
        """What can be moved without waiting."""
        if not way.backlog and not way.ended:
            self._receive(way)
        if way.backlog:
            self._send(way)
        if way.backlog or way.closed:
            return
        if way.gate is not None and way.gate.closed:
            self._forge(way)
        elif way.ended:
            self._shut(way)

    def _receive(self, way: _Way) -> None:
        try:
            data = way.source.recv(_READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            raise _ResetError(way.source) from None
        if not data:
            way.ended = True
            return
        if way.gate is not None:
            passes = way.gate.passes(data)
        else:
            passes = len(data)
            for _ in self._observer.feed(way.direction, data):
                pass  # only to be counted
        self.passed[way.direction] += passes
        self.swallowed += len(data) - passes
        way.backlog = data[:passes]

    def _send(self, way: _Way) -> None:
        with contextlib.suppress(BlockingIOError, InterruptedError):
            try:
                way.backlog = way.backlog[way.sink.send(way.backlog) :]
            except (BlockingIOError, InterruptedError):
                raise
            except OSError:
                raise _ResetError(way.sink) from None

    def _forge(self, way: _Way) -> None:
        assert self.cut is not None
        assert way.gate is not None
        self.cut_at = way.gate.at
        if self.cut.how == "FIN":
            self._shut(way)
            return
        way.closed = True
        _reset_at_close(way.sink)
        # The victim has gone; to the other side that looks like an end in order, and what it
        # still sends is swallowed.
        (back,) = (other for other in self._ways if other is not way)
        back.ended, back.backlog = True, b""
        way.sink.close()
        self._shut(back)

    def _shut(self, way: _Way) -> None:
        way.closed = True
        # If it has gone meanwhile, its own direction tells.
        with contextlib.suppress(OSError):
            way.sink.shutdown(socket.SHUT_WR)

    def _pass_on(self, broken: socket.socket) -> None:
        """A reset passes as a reset, unless that side has its forged end already."""
        for way in self._ways:
            forged = way.gate is not None and way.gate.closed and way.closed
            if way.source is broken and not forged:
                _reset_at_close(way.sink)


def _reset_at_close(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_AT_CLOSE)
