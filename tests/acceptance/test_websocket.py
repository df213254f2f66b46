"""A hundred thousand WebSocket messages are echoed, by the client library `websockets`."""

from __future__ import annotations

import asyncio
import random
import ssl
import time

import pytest
from websockets.asyncio.client import connect

from kssl.proxy.demo.stream import BLOCK
from kssl.proxy.service.spawn import ProxyProcess
from tests.acceptance.conftest import Figure, Start
from tests.acceptance.support import MODES

pytestmark = pytest.mark.acceptance

MESSAGES = 100_000
# Sent before the first of them is read back.
WINDOW = 250


@pytest.mark.parametrize("mode", MODES)
def test_echo(proxy: Start, figure: Figure, mode: str) -> None:
    began = time.perf_counter()
    total = asyncio.run(_echo(proxy(mode)))
    rate = MESSAGES / (time.perf_counter() - began)
    figure(f"{MESSAGES:,} messages ({total / 1e6:,.0f} MB) echoed, {rate:,.0f} messages/s")


async def _echo(server: ProxyProcess) -> int:
    context = ssl.create_default_context(cafile=server.ca)
    url = f"wss://localhost:{server.port}/ws"
    messages, total = _Messages(), 0
    async with connect(url, ssl=context, compression=None, max_size=None) as socket:
        for _ in range(MESSAGES // WINDOW):
            window = [messages.next() for _ in range(WINDOW)]
            for message in window:
                await socket.send(message)
            for message in window:
                assert await socket.recv() == message
                total += len(message)
    return total


class _Messages:
    """Text and bytes; mostly small, some around a record's size, a few much larger."""

    def __init__(self) -> None:
        self._random = random.Random(2003)

    def next(self) -> str | bytes:
        dice = self._random.random()
        if dice < 0.9:
            size = self._random.randrange(126)
        elif dice < 0.998:
            size = self._random.randrange(126, 20_000)
        else:
            size = self._random.randrange(60_000, 250_000)
        start = self._random.randrange(len(BLOCK) - size)
        data = BLOCK[start : start + size]
        return data if self._random.random() < 0.5 else data.decode("latin-1")
