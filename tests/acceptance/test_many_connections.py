"""A thousand connections at once, twenty requests on each: not one fails."""

from __future__ import annotations

import asyncio
import ssl
import time

import pytest

from kssl.proxy.service.spawn import ProxyProcess
from tests.acceptance.conftest import Figure, Start
from tests.acceptance.support import MODES, TIMEOUT

pytestmark = pytest.mark.acceptance

CONNECTIONS, REQUESTS = 1000, 20
_REQUEST = b"GET /tiny HTTP/1.1\r\nHost: localhost\r\n\r\n"
_BODY = b"Hello, kssl\n"


@pytest.mark.parametrize("mode", MODES)
def test_many_connections(proxy: Start, figure: Figure, mode: str) -> None:
    connected, asked = asyncio.run(_load(proxy(mode)))
    count = CONNECTIONS * REQUESTS
    figure(
        f"{CONNECTIONS:,} connections at once (up in {connected:.1f} s), "
        f"{count:,} requests, no failure, {count / asked:,.0f} requests/s"
    )


async def _load(server: ProxyProcess) -> tuple[float, float]:
    context = ssl.create_default_context(cafile=server.ca)
    everybody_is_there = asyncio.Event()
    waiting = 0
    connected = began = time.perf_counter()

    async def one() -> int:
        nonlocal waiting, connected
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", server.port, ssl=context, server_hostname="localhost",
            ssl_handshake_timeout=TIMEOUT,
        )  # fmt: skip
        waiting += 1
        if waiting == CONNECTIONS:
            connected = time.perf_counter()
            everybody_is_there.set()
        await everybody_is_there.wait()
        for _ in range(REQUESTS):
            writer.write(_REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            assert await reader.readexactly(len(_BODY)) == _BODY
        writer.close()
        await writer.wait_closed()
        return REQUESTS

    async with asyncio.timeout(TIMEOUT), asyncio.TaskGroup() as group:
        tasks = [group.create_task(one()) for _ in range(CONNECTIONS)]
    assert sum(task.result() for task in tasks) == CONNECTIONS * REQUESTS
    return connected - began, time.perf_counter() - connected
