"""What a configuration needs before it is served: sockets that listen."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence

from config import routing
from config.model import Configuration
from proxy.frontend.endpoint import Endpoint
from proxy.frontend.listener import open_listener

Opened = tuple[Endpoint, socket.socket]


def open_endpoints(
    configuration: Configuration,
    there: Iterable[Endpoint],
    inherited: Callable[[str], socket.socket | None],
) -> list[Opened]:
    """Listens on the bindings that ``there`` does not have, or takes an ``inherited`` socket.

    All or none: raises ConfigError.
    """
    bound = {endpoint.binding for endpoint in there}
    opened: list[Opened] = []
    try:
        for address in routing.endpoints(configuration):
            if address.binding not in bound:
                binding = address.binding
                sock = inherited(str(binding)) or open_listener(binding.listen)
                opened.append((Endpoint(address.binding, sock), sock))
    except BaseException:
        close_all(opened)
        raise
    return opened


def close_all(opened: Sequence[Opened]) -> None:
    for _, sock in opened:
        sock.close()
