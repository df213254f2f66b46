"""What a configuration needs before it is served: sockets that listen, addresses of upstreams."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence

from config import routing
from config.model import Configuration
from config.target import Target
from proxy.frontend.endpoint import Endpoint
from proxy.frontend.listener import open_listener
from proxy.upstream.pool import Address, resolve

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


async def resolve_all(configuration: Configuration) -> dict[Target, list[Address]]:
    """The addresses of all upstreams. In threads, for a name server may take its time.

    Raises ConfigError for a name that is not known.
    """
    loop = asyncio.get_running_loop()
    targets = {target for site in configuration.sites for target in site.upstreams}
    found = await asyncio.gather(
        *(loop.run_in_executor(None, resolve, target) for target in targets)
    )
    return dict(zip(targets, found, strict=True))
