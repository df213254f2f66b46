"""Asks where a host name is, and for how long that holds. Blocks: for a thread.

Two are asked. c-ares (`pycares`) reads /etc/hosts and resolv.conf as the system does, sorts by RFC
6724 and tells the TTL, which `getaddrinfo` does not. Where it finds nothing, the system's own
resolver has the last word, because it may know more: mDNS, containers, a directory
(nsswitch.conf). Its answers have no TTL.
"""

from __future__ import annotations

import ipaddress
import select
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pycares

from kssl.config.target import LOCALHOST, LOOPBACKS, Target
from kssl.proxy.upstream.dial import Address

# Seconds for all servers and tries together, whatever resolv.conf says.
LIMIT = 15.0

# Addresses of one name that are used. More would only be work.
MAX_ADDRESSES = 16

_UNKNOWN = (pycares.errno.ARES_ENOTFOUND, pycares.errno.ARES_ENODATA, pycares.errno.ARES_EBADNAME)
_UNKNOWN_TO_SYSTEM = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))


@dataclass(frozen=True, slots=True)
class Found:
    """``addresses``: IP addresses as text, the first to be tried first. ``ttl``: seconds, None when
    nobody has said."""

    addresses: tuple[str, ...]
    ttl: float | None = None


class LookupFailedError(Exception):
    """The reason in words. ``unknown``: the name does not exist, or has no address; otherwise
    nobody could say."""

    def __init__(self, reason: str, *, unknown: bool) -> None:
        super().__init__(reason)
        self.unknown = unknown


Lookup = Callable[[str], Found]
"""Host name → its addresses. May block; raises LookupFailedError."""


def fixed(host: str) -> tuple[str, ...]:
    """The addresses of a ``host`` that need no look-up: an IP address, and localhost (RFC 6761
    §6.3); otherwise none."""
    if host.lower().removesuffix(".") == LOCALHOST:
        return LOOPBACKS
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        return ()


def look_up(host: str, servers: Sequence[str] = ()) -> Found:
    """The addresses of ``host``. ``servers``: ADDRESS:PORT of name servers, other than those of
    resolv.conf.

    Raises LookupFailedError.
    """
    try:
        return _ask_dns(host, servers)
    except LookupFailedError as failure:
        try:
            return _ask_system(host)
        except LookupFailedError as other:
            if failure.unknown and not other.unknown:
                raise other from None
            raise failure from None


def resolve(target: Target) -> list[Address]:
    """The addresses of ``target``, looked up now. Raises LookupFailedError."""
    if target.unix_path is not None:
        return [(socket.AF_UNIX, target.unix_path)]
    return sockaddrs(fixed(target.host) or look_up(target.host).addresses, target.port)


def sockaddrs(addresses: Sequence[str], port: int) -> list[Address]:
    """Those as `socket.connect` takes them."""
    return [
        (socket.AF_INET6, (each, port, 0, 0)) if ":" in each else (socket.AF_INET, (each, port))
        for each in addresses
    ]


def _ask_system(host: str) -> Found:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        unknown = error.errno in _UNKNOWN_TO_SYSTEM
        reason = (error.strerror or "no answer").lower()
        raise LookupFailedError(reason, unknown=unknown) from None
    except (OSError, UnicodeError) as error:
        raise LookupFailedError(str(error), unknown=False) from None
    return Found(_some(str(sockaddr[0]) for _, _, _, _, sockaddr in found))


def _ask_dns(host: str, servers: Sequence[str]) -> Found:
    told: list[tuple[Any, int | None]] = []
    sockets = _Sockets()
    try:
        # A new one each time: it has read resolv.conf now, and remembers no answers.
        channel = pycares.Channel(sock_state_cb=sockets.change, servers=servers or None)
    except pycares.AresError as error:
        raise LookupFailedError(f"no resolver: {error}", unknown=False) from None
    try:
        channel.getaddrinfo(
            host,
            None,
            family=socket.AF_UNSPEC,
            type=socket.SOCK_STREAM,
            callback=lambda result, code: told.append((result, code)),
        )
        end = time.monotonic() + LIMIT
        while not told:
            left = end - time.monotonic()
            if left <= 0:
                raise LookupFailedError(f"no answer within {LIMIT:g} s", unknown=False)
            wanted: float = channel.timeout(left)  # type: ignore[no-untyped-call]
            sockets.turn(channel, min(left, wanted))
    finally:
        channel.close()
    result, code = told[0]
    if code is not None:
        reason = str(pycares.errno.strerror(code)).lower()
        raise LookupFailedError(reason, unknown=code in _UNKNOWN)
    nodes = result.nodes
    addresses = _some(node.addr[0].decode("ascii", "replace") for node in nodes)
    if not addresses:
        raise LookupFailedError("it has no address", unknown=True)
    return Found(addresses, float(min(node.ttl for node in nodes)))


def _some(addresses: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(addresses))[:MAX_ADDRESSES]


class _Sockets:
    """Waits for the sockets of c-ares, which needs neither a thread nor a watch of files so."""

    def __init__(self) -> None:
        self._poll = select.poll()

    def change(self, descriptor: int, readable: bool, writable: bool) -> None:
        """The resolver waits for this."""
        events = (select.POLLIN if readable else 0) | (select.POLLOUT if writable else 0)
        if events:
            self._poll.register(descriptor, events)
        else:
            self._poll.unregister(descriptor)

    def turn(self, channel: pycares.Channel, seconds: float) -> None:
        """Wait for at most so long, then let ``channel`` do what is due."""
        none = pycares.ARES_SOCKET_BAD
        ready = self._poll.poll(int(seconds * 1000) + 1)
        for descriptor, events in ready:
            channel.process_fd(
                descriptor if events & ~select.POLLOUT else none,
                descriptor if events & select.POLLOUT else none,
            )
        if not ready:
            channel.process_fd(none, none)
