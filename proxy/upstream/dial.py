"""One socket on its way to one address."""

from __future__ import annotations

import errno
import os
import socket
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kssl.fastpath.net.keepalive import keep_alive

# Seconds until a unix socket whose queue is full is tried again, at first and at most. No event
# tells that there is room (unix(7)); an app under load accepts within a few milliseconds.
FIRST_WAIT = 0.005
LONGEST_WAIT = 0.1

Address = tuple[socket.AddressFamily, Any]
"""Family, and what `socket.connect` takes."""


@dataclass(slots=True, eq=False)
class Place:
    """An address of an upstream. Connections keep theirs, so that they can tell when it is gone."""

    address: Address
    gone: bool = False


class Dial:
    """A connection attempt. One of ``connected`` and ``failed`` is called by the event loop, once,
    if `start` has returned True; neither after `close`."""

    __slots__ = ("_connected", "_failed", "_loop", "_wait", "_waiting", "error", "place", "sock")

    def __init__(
        self,
        loop: AbstractEventLoop,
        place: Place,
        connected: Callable[[Dial], None],
        failed: Callable[[Dial], None],
    ) -> None:
        self.place = place
        self.sock: socket.socket | None = None
        self.error = 0
        """errno of the failure; 0 while there is none."""
        self._loop = loop
        self._connected = connected
        self._failed = failed
        self._waiting: TimerHandle | None = None
        self._wait = FIRST_WAIT

    @property
    def local(self) -> bool:
        """Whether it is a unix socket."""
        return self.place.address[0] == socket.AF_UNIX

    @property
    def reason(self) -> str:
        """The failure in words."""
        return os.strerror(self.error).lower()

    def start(self) -> bool:
        """Begin. Return whether the end is told later; otherwise `error` tells it now."""
        family, address = self.place.address
        try:
            if self.sock is None:
                self.sock = socket.socket(family, socket.SOCK_STREAM)
                self.sock.setblocking(False)
                if not self.local:
                    self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    keep_alive(self.sock)
            code = self.sock.connect_ex(address)
        except OSError as error:
            code = error.errno or errno.EIO
        if code == errno.EAGAIN and self.local:
            self._waiting = self._loop.call_later(self._wait, self._again)
            self._wait = min(2 * self._wait, LONGEST_WAIT)
            return True
        if code == errno.EINPROGRESS:
            assert self.sock is not None
            self._loop.add_writer(self.sock.fileno(), self._writable)
            return True
        if code:
            self._fail(code)
        return False

    def take(self) -> socket.socket:
        """Return the connected socket, which is the caller's from now on."""
        sock, self.sock = self.sock, None
        assert sock is not None, "not connected"
        return sock

    def close(self) -> None:
        """End the attempt."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        sock, self.sock = self.sock, None
        if sock is not None:
            self._loop.remove_writer(sock.fileno())
            sock.close()

    def _again(self) -> None:
        self._waiting = None
        if not self.start():
            self._tell()

    def _writable(self) -> None:
        assert self.sock is not None
        self._loop.remove_writer(self.sock.fileno())
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(code)
        self._tell()

    def _tell(self) -> None:
        if self.error:
            self._failed(self)
        else:
            self._connected(self)

    def _fail(self, code: int) -> None:
        self.error = code
        self.close()
