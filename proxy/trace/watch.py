"""The wrappers: each takes the method as it is and returns one that also makes an event.

They use what the classes promise to everybody and keep no object alive: whose a socket is stands
under its descriptor's number, which the next owner of that number overwrites.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from time import monotonic_ns as now
from typing import Any

from kssl.fastpath.ipc.frames import HEADER_SIZE, FrameType
from kssl.proxy.trace.recorder import Event, Moment

Method = Callable[..., Any]
Observer = Callable[[Event], object]

_FRAMES = {int(kind): kind.name for kind in FrameType}
_UNKNOWN = ("", 0)


class Watch:
    """All wrappers of one process; ``observe`` gets their events."""

    def __init__(self, observe: Observer) -> None:
        self._observe = observe
        self._peers: dict[int, tuple[str, int]] = {}  # by descriptor: who, and its number
        self._numbers: Counter[str] = Counter()
        self._draining: Any = None  # the channel whose backlog is being sent
        self._drained = False  # all of it, for more was sent behind it

    def _name(self, descriptor: int, peer: str) -> None:
        self._numbers[peer] += 1
        self._peers[descriptor] = (peer, self._numbers[peer])

    # -- whose a socket is -------------------------------------------------------------------

    def client_accepted(self, original: Method) -> Method:
        def wrapper(connection: Any, front: Any, endpoint: Any, sock: Any, peer: Any) -> None:
            self._name(sock.fileno(), "client")
            original(connection, front, endpoint, sock, peer)

        return wrapper

    def link_made(self, original: Method) -> Method:
        def wrapper(link: Any, loop: Any, sock: Any, *rest: Any) -> None:
            self._name(sock.fileno(), "link")
            original(link, loop, sock, *rest)

        return wrapper

    def upstream_connected(self, original: Method) -> Method:
        def wrapper(connection: Any, channel: Any, *rest: Any) -> None:
            descriptor = channel.sock.fileno()
            self._name(descriptor, "upstream")
            time = now()
            self._observe(Event(time, time, "connected", *_named(self._peers[descriptor])))
            original(connection, channel, *rest)

        return wrapper

    # -- system calls of the front end ---------------------------------------------------------

    def _sent(self, channel: Any, begin: Moment, size: int) -> None:
        end = begin.worked_until()
        # Called only when nothing waited, so what waits now is what the kernel refused.
        sent = 0 if channel.broken else size - channel.backlog
        peer = self._peers.get(channel.sock.fileno(), _UNKNOWN)
        self._observe(Event(begin.time, end, "send", *_named(peer), size=sent))

    def channel_recv(self, original: Method) -> Method:
        def wrapper(channel: Any, buffer: Any) -> int:
            begin, received = now(), 0
            try:
                received = int(original(channel, buffer))
            finally:
                peer = self._peers.get(channel.sock.fileno(), _UNKNOWN)
                self._observe(Event(begin, now(), "recv", *_named(peer), size=received))
            return received

        return wrapper

    def channel_send(self, original: Method) -> Method:
        def wrapper(channel: Any, data: Any) -> None:
            self._drained = self._drained or channel is self._draining
            begin, size = Moment(), len(data)
            original(channel, data)
            self._sent(channel, begin, size)

        return wrapper

    def channel_send_parts(self, original: Method) -> Method:
        def wrapper(channel: Any, *parts: Any) -> None:
            channel.flush()  # as it would itself, so that the backlog below is its own
            if channel.backlog or channel.broken or channel.closed:
                original(channel, *parts)  # makes no system call
                return
            self._drained = self._drained or channel is self._draining
            begin, size = Moment(), sum(map(len, parts))
            original(channel, *parts)
            self._sent(channel, begin, size)

        return wrapper

    def channel_drain(self, original: Method) -> Method:
        def wrapper(channel: Any) -> None:
            begin, waiting = now(), channel.backlog
            peer = self._peers.get(channel.sock.fileno(), _UNKNOWN)
            self._draining, self._drained = channel, False
            original(channel)
            self._draining = None
            # `on_drained` may have sent more, by the methods above; what waits now is then of that.
            left = 0 if self._drained else channel.backlog
            sent = 0 if channel.broken else waiting - left
            self._observe(Event(begin, now(), "drain", *_named(peer), size=sent))

        return wrapper

    # -- frames --------------------------------------------------------------------------------

    def link_send(self, original: Method) -> Method:
        def wrapper(link: Any, kind: int, identifier: int, *parts: Any) -> None:
            if link.lost:
                return
            begin, size = now(), sum(map(len, parts)) + HEADER_SIZE
            original(link, kind, identifier, *parts)
            self._observe(_frame(begin, "frame-out", kind, identifier, size))

        return wrapper

    def frame_received(self, original: Method) -> Method:
        def wrapper(receiver: Any, kind: int, payload: Any) -> None:
            begin, size = now(), len(payload) + HEADER_SIZE
            try:
                original(receiver, kind, payload)
            finally:
                self._observe(_frame(begin, "frame-in", kind, 0, size))

        return wrapper

    def worker_handle(self, original: Method) -> Method:
        def wrapper(
            worker: Any, kind: int, identifier: int, view: Any, start: int, end: int
        ) -> None:
            begin = now()
            original(worker, kind, identifier, view, start, end)
            self._observe(_frame(begin, "frame-in", kind, identifier, end - start + HEADER_SIZE))

        return wrapper

    def worker_commit(self, original: Method) -> Method:
        def wrapper(output: Any, kind: int, connection: int, size: int) -> None:
            begin = now()
            original(output, kind, connection, size)
            self._observe(_frame(begin, "frame-out", kind, connection, size + HEADER_SIZE))

        return wrapper

    def worker_flush(self, original: Method) -> Method:
        def wrapper(output: Any) -> None:
            begin = Moment()
            original(output)
            self._observe(Event(begin.time, begin.worked_until(), "flush"))

        return wrapper

    # -- what is done in between -----------------------------------------------------------------

    def record_open(self, original: Method) -> Method:
        def wrapper(layer: Any, data: Any, out: Any, *quantum: int) -> int:
            begin, before, size = now(), layer.records_opened, len(data)
            made: int = original(layer, data, out, *quantum)
            records = layer.records_opened - before
            event = Event(begin, now(), "open", size=size, made=made, records=records)
            self._observe(event)
            return made

        return wrapper

    def record_seal(self, original: Method) -> Method:
        def wrapper(layer: Any, data: Any, length: int, out: Any) -> int:
            begin, before = now(), layer.records_sealed
            made: int = original(layer, data, length, out)
            records = layer.records_sealed - before
            event = Event(begin, now(), "seal", size=length, made=made, records=records)
            self._observe(event)
            return made

        return wrapper

    def exchange_start(self, original: Method) -> Method:
        def wrapper(exchange: Any, first: Any, data: Any) -> int:
            begin = now()
            used: int = original(exchange, first, data)
            self._observe(Event(begin, now(), "start", size=len(first)))
            return used

        return wrapper

    def upstream_received(self, original: Method) -> Method:
        def wrapper(exchange: Any, end: int) -> None:
            begin = now()
            original(exchange, end)
            self._observe(Event(begin, now(), "answer"))

        return wrapper

    # -- the filter, which knows nothing but its two sockets -------------------------------------

    def relay_recv(self, original: Method) -> Method:
        def wrapper(sock: Any, buffer: Any) -> int:
            received: int = original(sock, buffer)
            time = now()  # it waited until then
            self._observe(Event(time, time, "recv", self._side(sock), size=received))
            return received

        return wrapper

    def relay_send(self, original: Method) -> Method:
        def wrapper(sock: Any, data: Any) -> None:
            begin = Moment()
            original(sock, data)
            end = begin.worked_until()
            self._observe(Event(begin.time, end, "send", self._side(sock), size=len(data)))

        return wrapper

    def filter_between(self, front: int, worker: int) -> None:
        """The descriptors of a filter's two sides."""
        self._peers = {front: ("front", 1), worker: ("worker", 1)}

    def _side(self, sock: Any) -> str:
        return self._peers.get(sock.fileno(), _UNKNOWN)[0]


def _named(peer: tuple[str, int]) -> tuple[str, str, int]:
    """The fields `peer`, `frame` and `connection` of an event."""
    return peer[0], "", peer[1]


def _frame(begin: int, what: str, kind: int, connection: int, size: int) -> Event:
    return Event(begin, now(), what, "link", _FRAMES.get(kind, str(kind)), connection, size)
