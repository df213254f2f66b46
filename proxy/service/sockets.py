"""Sockets that listen: one for each address that a binding's host stands for."""

from __future__ import annotations

import contextlib
import errno
import socket
from typing import Any

from kssl.config.errors import ConfigError
from kssl.config.target import LOCALHOST, LOOPBACKS, Listen
from kssl.fastpath.net.keepalive import keep_alive

# Connections that wait in the kernel for accept; the kernel lowers it to net.core.somaxconn.
_BACKLOG = 4096

# Tries to find a port that is free on all addresses, where any will do.
_TRIES = 50

# This machine has no such address, or none of that family: another one of the name will do.
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

_Address = tuple[socket.AddressFamily, tuple[Any, ...]]


def open_listeners(listen: Listen) -> list[socket.socket]:
    """Bind and listen on every address of ``listen``, which localhost and other names may have
    several of; addresses that this machine does not have are left out, unless there is no other.
    With port 0 all have the same port.

    Raises ConfigError in words for people.
    """
    try:
        addresses = _addresses(listen)
    except OSError as error:
        raise ConfigError(_explain(error, listen)) from None
    tries = _TRIES if not listen.port and len(addresses) > 1 else 1
    for left in reversed(range(tries)):
        opened = _open(listen, addresses, may_fail=left > 0)
        if opened:
            break
    return opened


def _addresses(listen: Listen) -> list[_Address]:
    hosts = LOOPBACKS if listen.host == LOCALHOST else (listen.host,)
    found = [
        (family, address)
        for host in hosts
        for family, _, _, _, address in socket.getaddrinfo(
            host, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    ]
    return list(dict.fromkeys(found))


def _open(listen: Listen, addresses: list[_Address], *, may_fail: bool) -> list[socket.socket]:
    """One for each of ``addresses``; none if ``may_fail`` and the port that the first one got is
    in use at another."""
    missing: OSError | None = None
    port = listen.port
    with contextlib.ExitStack() as failing:
        opened: list[socket.socket] = []
        for family, address in addresses:
            try:
                sock = _listener(family, (address[0], port, *address[2:]))
            except OSError as error:
                if error.errno in _NOT_HERE:
                    missing = error
                    continue
                if may_fail and opened and error.errno == errno.EADDRINUSE:
                    return []
                at = Listen(address[0], port) if len(addresses) > 1 else None
                raise ConfigError(_explain(error, listen, at)) from None
            opened.append(failing.enter_context(sock))
            port = sock.getsockname()[1]
        if missing is not None and not opened:
            raise ConfigError(_explain(missing, listen))
        failing.pop_all()
        return opened


def _listener(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    # [::] is IPv6 alone, so that 0.0.0.0 beside it is another address, as for kssl.toml.
    sock = socket.create_server(address, family=family, backlog=_BACKLOG)
    sock.setblocking(False)
    # Linux gives accepted sockets the options of their listener (tcp(7), socket(7)).
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    keep_alive(sock)
    return sock


def _explain(error: OSError, listen: Listen, at: Listen | None = None) -> str:
    """``at``: the address of several where it failed."""
    where = f"cannot listen on {listen.netloc}" + (f" ({at.netloc})" if at is not None else "")
    if error.errno == errno.EADDRINUSE:
        return f"{where}: the port is in use; choose another with --listen"
    if error.errno == errno.EACCES:
        return f"{where}: ports below 1024 need root or CAP_NET_BIND_SERVICE; choose another"
    if error.errno in _NOT_HERE:
        return f"{where}: this machine does not have that address"
    return f"{where}: {error.strerror or error}"
