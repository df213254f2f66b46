"""Somebody on the way: a TCP relay on loopback that passes bytes on until it cuts.

    with Attacker(proxy.port, Cut(Direction.TO_CLIENT, record=2)) as attacker:
        ...  # a client connects to attacker.port
        link = attacker.wait()
        link.cut_at, link.records(Direction.TO_CLIENT)

The victim gets a FIN (or RST) that the other side has never sent. What that other side goes on to
send is swallowed; what the victim sends still passes. Without a cut everything passes as it is,
ends and resets too. It reads the headers of records and counts; what is inside it cannot read.

Threads of its own do the work; whoever uses it may block.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from types import TracebackType
from typing import Self

from kssl.proxy.demo.truncation.cut import Cut
from kssl.proxy.demo.truncation.link import Link

HOST = "127.0.0.1"
_CONNECT_SECONDS = 5.0
_STOP_SECONDS = 5.0


class Attacker:
    """A relay from `port` to ``target``, a port of 127.0.0.1.

    `cut` may be changed at any time; it holds for connections that come afterwards. `links` are
    all connections, in the order in which they came.
    """

    def __init__(self, target: int, cut: Cut | None = None) -> None:
        self.cut = cut
        self.links: list[Link] = []
        self._target = target
        self._listener = socket.create_server((HOST, 0))
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        # Closing the one end makes the other readable, for all threads at once.
        self._stop, self._stopped = socket.socketpair()
        self._changed = threading.Condition()
        self._relays: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, name="attacker", daemon=True)
        self._accepting.start()

    def wait(self, number: int = -1, seconds: float = 10.0) -> Link:
        """The connection of that number, from 0 on (-1: the newest), once it is over.

        Raises TimeoutError; also if there has been none.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (-len(self.links) <= number < len(self.links) and self.links[number].over):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"connection {number} is not over after {seconds:g} s")
                self._changed.wait(left)
            return self.links[number]

    def stop(self) -> None:
        """End all connections; again is harmless."""
        self._stop.close()
        self._accepting.join(_STOP_SECONDS)
        for thread in self._relays:
            thread.join(_STOP_SECONDS)
        self._stopped.close()
        self._listener.close()

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
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        poll.register(self._stopped, select.POLLIN)
        while self._stopped.fileno() not in {descriptor for descriptor, _ in poll.poll()}:
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue  # it has gone again
            try:
                server = socket.create_connection((HOST, self._target), _CONNECT_SECONDS)
            except OSError:
                client.close()
                continue
            link = Link(client, server, self.cut)
            with self._changed:
                self.links.append(link)
            thread = threading.Thread(
                target=self._relay, args=[link], name="attacker's link", daemon=True
            )
            thread.start()
            self._relays = [*(old for old in self._relays if old.is_alive()), thread]

    def _relay(self, link: Link) -> None:
        try:
            link.run(self._stopped)
        finally:
            with self._changed:
                self._changed.notify_all()
