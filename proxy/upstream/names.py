"""The host names of all upstreams: looked up in threads, and again when it is time.

Front.sweep ─► Names.sweep ─► thread: look_up ─► Names ─► changed(host) ─► Pool.move
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterable

from kssl.config.target import Target
from kssl.proxy.upstream.dial import Address
from kssl.proxy.upstream.freshness import STALE_UNANSWERED, STALE_UNKNOWN, Freshness
from kssl.proxy.upstream.lookup import Found, Lookup, LookupFailedError, fixed, sockaddrs

log = logging.getLogger("kssl")

# Look-ups at a time. A name server that does not answer holds a thread for some ten seconds.
MOST = 16

# Seconds for which a start or a reload waits for names that are new; then they are told as unknown,
# and are found later.
PATIENCE = 5.0


def _nobody(host: str) -> None:
    """Nobody has asked for changes yet."""


class Names:
    """Keeps the addresses of host names. For the event loop's thread alone."""

    def __init__(self, loop: AbstractEventLoop, look_up: Lookup) -> None:
        self.changed: Callable[[str], None] = _nobody
        """Is called with a host whose addresses, or the reason for none, have changed."""
        self._loop = loop
        self._look_up = look_up
        self._known: dict[str, Freshness] = {}
        self._running = 0
        self._failing: set[str] = set()  # the log says so once
        self._news = asyncio.Event()

    def addresses(self, target: Target) -> list[Address]:
        """Where ``target`` is, as far as it is known."""
        if target.unix_path is not None:
            return [(socket.AF_UNIX, target.unix_path)]
        found = fixed(target.host)
        if not found and (name := self._known.get(target.host)) is not None:
            found = name.addresses
        return sockaddrs(found, target.port)

    def unknown(self, target: Target) -> str:
        """Why `addresses` has none, in words."""
        name = self._known.get(target.host)
        reason = name.reason if name is not None else ""
        return f"the name {target.host!r} cannot be looked up: {reason}" if reason else ""

    def doubt(self, host: str) -> None:
        """None of the addresses could be connected to: `sweep` asks again soon."""
        name = self._known.get(host)
        if name is not None:
            name.doubted()

    async def watch(self, targets: Iterable[Target], patience: float = PATIENCE) -> list[str]:
        """Keep the names of ``targets`` from now on, beside the others. Those that are known are
        asked for again soon. Return a line for each that is not known; that takes ``patience``
        seconds at most."""
        hosts = dict.fromkeys(target.host for target in targets if _has_name(target))
        for host in hosts:
            self._known.setdefault(host, Freshness()).doubted()
        self.sweep(self._loop.time())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while not all(self._known[host].settled for host in hosts):
                    self._news.clear()
                    await self._news.wait()
        return [
            f"the upstream {host!r} cannot be looked up: {name.reason}; its requests are answered "
            "502 until it is found"
            for host in hosts
            if not (name := self._known[host]).addresses
        ]

    def keep(self, targets: Iterable[Target]) -> None:
        """Forget all names but those of ``targets``."""
        hosts = {target.host for target in targets}
        self._known = {host: name for host, name in self._known.items() if host in hosts}
        self._failing &= hosts

    def sweep(self, now: float) -> None:
        """Look up what is due."""
        for host, name in self._known.items():
            if self._running < MOST and name.due(now):
                self._ask(host, name, now)

    def _ask(self, host: str, name: Freshness, now: float) -> None:
        name.begin(now)
        self._running += 1
        # A daemon: a look-up that hangs must not keep the process.
        thread = threading.Thread(
            target=self._run, args=(host, name), name="kssl-lookup", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            self._told(host, name, LookupFailedError("no more threads", unknown=False))

    def _run(self, host: str, name: Freshness) -> None:
        answer: Found | LookupFailedError
        try:
            answer = self._look_up(host)
        except LookupFailedError as error:
            answer = error
        except Exception as error:
            answer = LookupFailedError(f"internal error: {error!r}", unknown=False)
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._told, host, name, answer)

    def _told(self, host: str, name: Freshness, answer: Found | LookupFailedError) -> None:
        self._running -= 1
        now = self._loop.time()
        if isinstance(answer, Found):
            name.found(answer.addresses, answer.ttl, now)
            given_up = False
        else:
            given_up = name.failed(str(answer), now, unknown=answer.unknown)
        self._news.set()
        self.sweep(now)  # others may have waited for a thread
        if self._known.get(host) is name:
            self._say(host, name, given_up=given_up)
            self.changed(host)

    def _say(self, host: str, name: Freshness, *, given_up: bool) -> None:
        """What a person should know, once."""
        if not name.reason:
            if host in self._failing:
                self._failing.discard(host)
                log.warning("upstream name %s: found", host)
            return
        if host not in self._failing and name.addresses:
            log.error(
                "upstream name %s: %s; its last addresses are used for %.0f s if it does not "
                "exist any more, for %.0f h if nobody answers",
                host, name.reason, STALE_UNKNOWN, STALE_UNANSWERED / 3600,
            )  # fmt: skip
        elif given_up:
            log.error("upstream name %s: %s; its requests are answered 502", host, name.reason)
        self._failing.add(host)


def _has_name(target: Target) -> bool:
    return target.unix_path is None and not fixed(target.host)
