"""What a configuration needs before it is served: sockets that listen."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Sequence

from kssl.config import routing
from kssl.config.model import Configuration
from kssl.proxy.frontend.endpoint import Endpoint
from kssl.proxy.service.sockets import open_listeners

Opened = tuple[Endpoint, socket.socket]
"""An endpoint may have several sockets, each in a pair of its own."""


def open_endpoints(
    configuration: Configuration,
    there: Iterable[Endpoint],
    inherited: Callable[[str], Sequence[socket.socket]],
) -> list[Opened]:
    """Listens on the bindings that ``there`` does not have, or takes ``inherited`` sockets.

    All or none: raises ConfigError.
    """
    bound = {endpoint.binding for endpoint in there}
    opened: list[Opened] = []
    try:
        for address in routing.endpoints(configuration):
            if address.binding not in bound:
                binding = address.binding
                sockets = inherited(str(binding)) or open_listeners(binding.listen)
                endpoint = Endpoint(binding, sockets)
                opened += [(endpoint, sock) for sock in sockets]
    except BaseException:
        close_all(opened)
        raise
    return opened


def close_all(opened: Sequence[Opened]) -> None:
    for _, sock in opened:
        sock.close()
