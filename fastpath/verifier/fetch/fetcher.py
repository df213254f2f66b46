"""One fetch from beginning to end, blocking: for a thread of its own, never for an event loop.

A name is looked up once. Every address it has is checked before the first connection, and one that
is not allowed refuses the name: who mixes public and private addresses is not to be trusted with
either. Connections, those after a redirect too, go to the checked addresses, so that a second
answer of the DNS (rebinding) changes nothing.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kssl.config.errors import reason
from kssl.fastpath.verifier.fetch.allowed import Allowed
from kssl.fastpath.verifier.fetch.content import Form, sniff
from kssl.fastpath.verifier.fetch.dial import Connect, Sockets, connect, is_here
from kssl.fastpath.verifier.fetch.errors import FetchError, FetchFailure, shown
from kssl.fastpath.verifier.fetch.exchange import Exchange, Moved, Reply
from kssl.fastpath.verifier.fetch.limits import Kind, Limits
from kssl.fastpath.verifier.fetch.lookup import Lookups, Resolve, resolve
from kssl.fastpath.verifier.fetch.url import Address, Target, parse

# Of one name; a server with more has two by their side that work.
_MAX_TRIED = 4
_CHUNK = 16 << 10
# No fault of the server's.
_OURS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS, errno.EADDRNOTAVAIL})


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a URL led to: not parsed, and nothing that could be trusted."""

    body: bytes = field(repr=False)
    form: Form
    seconds: float  # that it may be kept, from now


class _Deadline:
    def __init__(self, now: Callable[[], float], seconds: float) -> None:
        self._now = now
        self._seconds = seconds
        self._end = now() + seconds

    def left(self) -> float:
        """Seconds, above 0. Raises FetchFailure."""
        left = self._end - self._now()
        if left <= 0:
            raise self.is_up()
        return left

    def is_up(self) -> FetchFailure:
        """To be raised when the system says so first."""
        return FetchFailure(
            f"not there within {self._seconds:g} s; is the server slow, or out of reach?"
        )


class Fetcher:
    """Fetches by the rules of this package. Thread-safe; keeps nothing between fetches."""

    def __init__(
        self,
        limits: Limits | None = None,
        allowed: Allowed | None = None,
        resolve: Resolve = resolve,
        connect: Connect = connect,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """``now``: seconds of a clock that never goes back."""
        self._limits = Limits() if limits is None else limits
        self._allowed = Allowed() if allowed is None else allowed
        self._lookups = Lookups(resolve)
        self._connect = connect
        self._now = now
        self._sockets = Sockets()

    def fetch(self, url: str, kind: Kind) -> Fetched:
        """Blocks for `Limits.total` at most. Raises FetchError."""
        try:
            return self._fetch(parse(url), kind)
        except FetchFailure as failure:
            raise FetchError(url, str(failure), ours=failure.ours) from None

    def close(self) -> None:
        """Ends the fetches of other threads: at once, or when a connection attempt is over."""
        self._sockets.close()
        self._lookups.close()

    def _fetch(self, target: Target, kind: Kind) -> Fetched:
        deadline = _Deadline(self._now, self._limits.total)
        self._sockets.check()
        addresses = self._addresses(target, deadline)
        for _ in range(self._limits.redirects + 1):
            answer = self._ask(target, addresses, kind, deadline)
            if isinstance(answer, Reply):
                return Fetched(answer.body, sniff(answer.body, kind), answer.seconds)
            target = target.redirected(answer.location)
        raise FetchFailure(f"redirects more than {self._limits.redirects} times")

    def _addresses(self, target: Target, deadline: _Deadline) -> list[Address]:
        self._allowed.check_target(target)
        if target.address is not None:
            addresses = [target.address]
        else:
            addresses = self._lookups.addresses(target.host, deadline.left())
        for address in addresses:
            self._allowed.check_address(target, address)
        return addresses[:_MAX_TRIED]

    def _ask(
        self, target: Target, addresses: Sequence[Address], kind: Kind, deadline: _Deadline
    ) -> Reply | Moved:
        exchange = Exchange(target, kind, self._limits.size(kind))
        connection = self._connected(target, addresses, deadline)
        with self._sockets.using(connection):
            try:
                connection.settimeout(deadline.left())
                connection.sendall(exchange.request)
                while True:
                    connection.settimeout(deadline.left())
                    answer = exchange.feed(connection.recv(_CHUNK))
                    if answer is not None:
                        return answer
            except TimeoutError:
                raise deadline.is_up() from None
            except OSError as error:
                raise FetchFailure(f"the connection broke ({reason(error)})") from None
            finally:
                # What `close` cut off must not be told as the server's fault.
                self._sockets.check()

    def _connected(
        self, target: Target, addresses: Sequence[Address], deadline: _Deadline
    ) -> socket.socket:
        why = ""
        for address in addresses:
            self._sockets.check()
            seconds = min(deadline.left(), self._limits.connect)
            try:
                connection = self._connect(address, target.port, seconds)
            except TimeoutError:
                why = f"{address} does not answer within {seconds:.1f} s"
                continue
            except OSError as error:
                if error.errno in _OURS:
                    raise FetchFailure(f"no socket ({reason(error)})", ours=True) from None
                why = f"{address}: {reason(error)}"
                continue
            try:
                here = is_here(connection, address) and not self._allowed.named(target, address)
            except OSError as error:  # reset meanwhile
                connection.close()
                why = f"{address}: {reason(error)}"
                continue
            if here:
                connection.close()
                raise FetchFailure(
                    f"{address} is this machine; name it in {self._allowed.setting} to allow it"
                )
            return connection
        deadline.left()
        raise FetchFailure(
            f"no connection to port {target.port} of {shown(target.host)} ({why}); is the server "
            "running, and does a firewall let kssl out?"
        )
