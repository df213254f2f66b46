"""Which sockets are ready: an epoll of our own, nested in the event loop.

The event loop sees one descriptor, the epoll's. When that is readable, `Poller` asks for all ready
sockets at once and calls their channels; then it sends what they have queued. That is one turn of
the front end. Unlike the loop's own readers it is edge-triggered: an end or an error behind the
data is reported with it, and a socket is registered once, so that a pause costs no system call.

A channel that has more to do than one quantum (`kssl.fastpath.net.quantum`) goes on by `again`,
behind all that is new: a turn first serves what is ready and sends the answers, and then gives the
channels that go on, in order, one quantum each for as long as `LATE` allows. So many busy peers
share one limit, and a peer with a small request does not wait for them.

When another go was not enough for one of them, the process offers its core to others (sched_yield)
before the next. The worker may share it, and the kernel lets a process that never sleeps run for up
to 4 ms (one tick): a small request would wait so long at each of its hops. For the same reason the
channels that go on are put off then while something new comes for others, for `PUT_OFF` turns at
most: what the worker answers at once is sent on before their next quantum.
"""

from __future__ import annotations

import logging
import select
import sys
from asyncio import AbstractEventLoop
from collections import OrderedDict
from collections.abc import Callable
from os import sched_yield
from time import monotonic
from typing import ClassVar, Protocol
from weakref import WeakKeyDictionary, ref

from kssl.fastpath.logs.messages import limited
from kssl.fastpath.net.quantum import LATE, PUT_OFF

log = logging.getLogger("kssl")

# Sockets handled before what they queued is sent. More would save calls of epoll_wait, but the
# first of them would wait for the last.
_EVENTS_PER_TURN = 64

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
ENDED = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
BROKEN = select.EPOLLHUP | select.EPOLLERR
URGENT = select.EPOLLPRI  # a read stops in front of TCP's urgent byte, though there is more

_READING = select.EPOLLIN | select.EPOLLPRI | select.EPOLLRDHUP | select.EPOLLET
_BOTH = _READING | select.EPOLLOUT


class Again(Protocol):
    """An object that can ask for another turn."""

    def read_on(self) -> None:
        """Go on, as asked for by :meth:`Poller.again`."""

    def crashed(self) -> None:
        """End, because a call has raised by a mistake of ours: no edge comes again for what it
        has missed."""


class Polled(Again, Protocol):
    """A channel, as the poller knows it."""

    def happened(self, events: int) -> None:
        """Handle ``events``, a bit mask of epoll's with the names above. Each edge comes once.

        It may also be the edge of a socket that had this descriptor's number before: one that was
        closed earlier in the turn, or one that a process being started still holds. So it is no
        more than a reason to look.
        """


class Poller:
    """The epoll of one event loop, and its turns. There is one for each loop: :meth:`of`."""

    # Weak on both sides: held here, this object would hold its loop, and no loop would ever go.
    # The channels keep it, and so does the loop while it watches the epoll.
    _of_loop: ClassVar[WeakKeyDictionary[AbstractEventLoop, ref[Poller]]] = WeakKeyDictionary()

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._epoll = select.epoll()
        self._polled: dict[int, Polled] = {}
        # In order, and each once: its share is one quantum.
        self._again: OrderedDict[Again, None] = OrderedDict()
        self._turn_comes = False  # by `again`
        self._goes_on = False  # somebody who had another go has still more
        self._put_off = 0  # late turns in a row without those who go on
        self._at_end: list[Callable[[], None]] = []
        self._in_turn = False
        self.turn = 0
        """The number of this turn, or of the last one."""
        self.all_told = False
        """A turn is running which handles all that had happened when it began."""
        self.waiting = 0
        """Bytes that kernels have refused, of all channels together."""
        self._most_waiting = sys.maxsize
        self._too_much: Callable[[], None] = _nothing
        self._told_too_much = False

    @classmethod
    def of(cls, loop: AbstractEventLoop) -> Poller:
        """Return the one of ``loop``; the first call makes it."""
        known = cls._of_loop.get(loop)
        found = known() if known is not None else None
        if found is None:
            found = cls(loop)
            cls._of_loop[loop] = ref(found)
        return found

    # -- what is watched -------------------------------------------------------------------

    def add(self, fd: int, polled: Polled, *, writing: bool) -> None:
        """Watch a socket until :meth:`discard`, for room to write too if ``writing``."""
        self._epoll.register(fd, _BOTH if writing else _READING)
        if not self._polled:
            self._loop.add_reader(self._epoll.fileno(), self._turn)
        self._polled[fd] = polled

    def watch_writing(self, fd: int, on: bool) -> None:
        """Watch for room to write, or stop it: for a socket that was added without."""
        self._epoll.modify(fd, _BOTH if on else _READING)

    def discard(self, fd: int) -> None:
        """Forget a descriptor that is about to be closed; closing takes it out of the epoll."""
        self._polled.pop(fd, None)
        if not self._polled:
            self._loop.remove_reader(self._epoll.fileno())

    @property
    def watched(self) -> int:
        """The number of sockets that are watched."""
        return len(self._polled)

    # -- what waits to be sent -------------------------------------------------------------

    def limit_waiting(self, most: int, too_much: Callable[[], None]) -> None:
        """Have ``too_much`` called, soon and once, each time that `waiting` exceeds ``most``
        bytes."""
        self._most_waiting = most
        self._too_much = too_much

    def wait_with(self, size: int) -> None:
        """Count ``size`` more bytes that a channel keeps until the kernel takes them, or, when
        negative, fewer."""
        self.waiting += size
        if self.waiting > self._most_waiting and not self._told_too_much:
            self._told_too_much = True
            self._loop.call_soon(self._tell_too_much)

    def _tell_too_much(self) -> None:
        self._told_too_much = False
        self._too_much()

    # -- turns -----------------------------------------------------------------------------

    def again(self, polled: Again) -> None:
        """Call its `read_on` in a later turn, behind what is new then.

        It has more to do, and no new edge will say so.
        """
        self._again[polled] = None
        if not self._turn_comes:
            self._turn_comes = True
            self._loop.call_soon(self._next_turn)

    def at_end(self, action: Callable[[], None]) -> None:
        """Call ``action`` at the end of this turn, or of the loop's if none is running.

        Sending at once would wake the peer's process for each socket; sends that follow each
        other find it awake. Waiting also joins what is written to one connection in several parts.
        """
        if not self._in_turn and not self._at_end:
            self._loop.call_soon(self._end_turn)
        self._at_end.append(action)

    def _next_turn(self) -> None:
        self._turn_comes = False
        if self._goes_on:
            sched_yield()
        self._turn(late=True)

    def _turn(self, *, late: bool = False) -> None:
        """Serve what is ready; if ``late``, also those who go on.

        The loop may have two turns in a row, and in one of them is enough.
        """
        self._in_turn = True
        self.turn += 1
        try:
            get = self._polled.get
            happened = self._epoll.poll(0, _EVENTS_PER_TURN)
            self.all_told = len(happened) < _EVENTS_PER_TURN
            for fd, events in happened:
                ready = get(fd)
                if ready is not None:  # else closed by one that came before it in this turn
                    try:
                        ready.happened(events)
                    except Exception:  # one connection's bug must not stop the others
                        log.exception("internal error in a connection", extra=limited("Internal"))
                        ready.crashed()
            if late and self._again:
                if self._goes_on and self._put_off < PUT_OFF and self._for_others(happened):
                    self._put_off += 1
                else:
                    self._put_off = 0
                    if self._at_end:
                        self._end_turn()  # they do not wait for those who go on
                    self.all_told = False  # not of what has come since the turn began
                    self._read_on()
        finally:  # KeyboardInterrupt and the like
            self._in_turn = self.all_told = False
            if self._at_end:
                self._end_turn()
            if self._again and not self._turn_comes:
                self._turn_comes = True
                self._loop.call_soon(self._next_turn)

    def _for_others(self, happened: list[tuple[int, int]]) -> bool:
        """Return whether any of it is for somebody else than those who go on: whoever sends without
        a pause makes edges of its own."""
        get, again = self._polled.get, self._again
        return any(polled not in again for fd, _ in happened if (polled := get(fd)) is not None)

    def _read_on(self) -> None:
        """Give one quantum to each that waits now, or until the time is up.

        The time is shorter while one of them goes on and on, because new requests wait for it.
        """
        again = self._again
        late = LATE / 2 if self._goes_on else LATE
        end = monotonic() + late  # not the loop's time, which stands still for the whole turn
        left = len(again)
        while left:
            left -= 1
            polled, _ = again.popitem(last=False)
            try:
                polled.read_on()
            except Exception:
                log.exception("internal error in a connection", extra=limited("Internal"))
                polled.crashed()
            if monotonic() >= end:
                break
        self._goes_on = len(again) > left

    def _end_turn(self) -> None:
        actions, self._at_end = self._at_end, []
        for action in actions:
            try:
                action()
            except Exception:  # the others' data must leave all the same
                log.exception("internal error while sending", extra=limited("Internal"))


def _nothing() -> None:
    """Do nothing: there is no limit."""
