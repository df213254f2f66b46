"""The few ASGI types and helpers that the demo application needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Iterable[tuple[str, str]]


class ClientGoneError(Exception):
    """The client went away before its request was complete."""


def header(scope: Scope, name: str) -> str | None:
    """The first header field of that name (lower case), or None."""
    wanted = name.encode("latin-1")
    for key, value in scope["headers"]:
        if key == wanted:
            return bytes(value).decode("latin-1")
    return None


def is_chunked(scope: Scope) -> bool:
    """Whether the request's body came without a length."""
    return "chunked" in (header(scope, "transfer-encoding") or "").lower()


async def body(receive: Receive) -> AsyncIterator[bytes]:
    """The request's body, piece by piece; nothing is kept."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        if piece := message.get("body", b""):
            yield piece
        if not message.get("more_body", False):
            return


async def start(send: Send, status: int, headers: Headers) -> None:
    """Send the status line and the header fields."""
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    # Every answer depends on the request or on the moment: none may come from a cache.
    fields.append((b"cache-control", b"no-store"))
    await send({"type": "http.response.start", "status": status, "headers": fields})


async def respond(
    send: Send, status: int, content_type: str, content: bytes, extra: Headers = ()
) -> None:
    """Send a whole small answer. (uvicorn leaves the content out of an answer to HEAD.)"""
    headers = [("content-type", content_type), ("content-length", str(len(content))), *extra]
    await start(send, status, headers)
    await send({"type": "http.response.body", "body": content})


@contextlib.asynccontextmanager
async def departure(receive: Receive) -> AsyncIterator[asyncio.Task[None]]:
    """A task that is done once the client has gone; for answers that take long."""

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    task = asyncio.create_task(watch())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
