"""The demo application: raw ASGI, plain HTTP, every body streamed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import parse_qs

from kssl.proxy.demo import asgi, page, stream
from kssl.proxy.demo.asgi import Receive, Scope, Send
from kssl.proxy.demo.seen import seen

WS_MAX_SIZE = 16 * 2**20
MAX_SLOW_SECONDS = 30.0

# How many pieces go out between two looks at whether the client is still there.
_PIECES_PER_CHECK = 16

_GET = ("GET", "HEAD")
_POST = ("POST", "PUT")

_Handler = Callable[[Scope, Receive, Send, str], Awaitable[None]]


class HttpError(Exception):
    """An answer that is an error."""

    def __init__(self, status: HTTPStatus, detail: str, headers: asgi.Headers = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = list(headers)


class DemoApp:
    """The application behind the proxy in ``kssl demo`` and in the test suites."""

    def __init__(self) -> None:
        # First path segment → methods (None: all), whether an argument follows, handler.
        self._routes: dict[str, tuple[tuple[str, ...] | None, bool, _Handler]] = {
            "": (_GET, False, self._page),
            "request.json": (None, False, self._request_json),
            "tiny": (_GET, False, self._tiny),
            "bytes": (_GET, True, self._bytes),
            "upload": (_POST, False, self._upload),
            "echo": (_POST, False, self._echo),
            "slow": (_GET, False, self._slow),
            "status": (None, True, self._status),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request or one WebSocket."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        try:
            handler, argument = self._find(scope)
            await handler(scope, receive, send, argument)
        except HttpError as error:
            await _send_error(scope, send, error)
        except asgi.ClientGoneError:
            return

    def _find(self, scope: Scope) -> tuple[_Handler, str]:
        name, slash, argument = scope["path"].removeprefix("/").partition("/")
        route = self._routes.get(name)
        if route is None or bool(slash) != route[1]:
            raise HttpError(HTTPStatus.NOT_FOUND, f"There is nothing at {scope['path']}.")
        methods, _, handler = route
        if methods is not None and scope["method"] not in methods:
            allow = ", ".join(methods)
            detail = f"{scope['path']} takes {allow}, not {scope['method']}."
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, detail, [("allow", allow)])
        return handler, argument

    async def _page(self, scope: Scope, _receive: Receive, send: Send, _argument: str) -> None:
        nonce = page.new_nonce()
        await _send_html(send, 200, page.render(seen(scope), nonce), nonce)

    async def _request_json(self, scope: Scope, _r: Receive, send: Send, _argument: str) -> None:
        await _send_json(send, 200, seen(scope).as_json())

    async def _tiny(self, _scope: Scope, _r: Receive, send: Send, _argument: str) -> None:
        await asgi.respond(send, 200, "text/plain", b"Hello, kssl\n")

    async def _bytes(self, scope: Scope, receive: Receive, send: Send, argument: str) -> None:
        try:
            length = stream.parse_length(argument)
        except ValueError as error:
            raise HttpError(HTTPStatus.BAD_REQUEST, str(error)) from error
        headers = [("content-type", "application/octet-stream")]
        if _query(scope, "chunked") != "1":
            headers.append(("content-length", str(length)))
        await asgi.start(send, 200, headers)
        if scope["method"] != "HEAD":
            await _send_stream(receive, send, length)
        await send({"type": "http.response.body"})

    async def _upload(self, scope: Scope, receive: Receive, send: Send, _argument: str) -> None:
        count, digest = 0, hashlib.sha256()
        async for piece in asgi.body(receive):
            count += len(piece)
            digest.update(piece)
        answer = {
            "bytes": count,
            "sha256": digest.hexdigest(),
            "content_type": asgi.header(scope, "content-type"),
            "chunked": asgi.is_chunked(scope),
        }
        await _send_json(send, 200, answer)

    async def _echo(self, scope: Scope, receive: Receive, send: Send, _argument: str) -> None:
        # A client that reads nothing until it has sent everything stops itself: the app then
        # waits for its reader, as backpressure demands.
        content_type = asgi.header(scope, "content-type") or "application/octet-stream"
        headers = [("content-type", content_type)]
        if not asgi.is_chunked(scope):
            headers.append(("content-length", asgi.header(scope, "content-length") or "0"))
        await asgi.start(send, 200, headers)
        async for piece in asgi.body(receive):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body"})

    async def _slow(self, scope: Scope, receive: Receive, send: Send, _argument: str) -> None:
        try:
            seconds = float(_query(scope, "seconds") or "1")
        except ValueError:
            seconds = -1.0
        # Not a number fails this comparison too.
        if not 0 <= seconds <= MAX_SLOW_SECONDS:
            detail = f"seconds must be a number from 0 to {MAX_SLOW_SECONDS:g}."
            raise HttpError(HTTPStatus.BAD_REQUEST, detail)
        async with asgi.departure(receive) as gone:
            done, _ = await asyncio.wait([gone], timeout=seconds)
        if done:
            raise asgi.ClientGoneError
        await asgi.respond(send, 200, "text/plain", f"after {seconds:g} s\n".encode())

    async def _status(self, _scope: Scope, _receive: Receive, send: Send, argument: str) -> None:
        # An interim status (1xx) would be no answer.
        if not (argument.isascii() and argument.isdecimal() and 200 <= int(argument[:4]) <= 599):
            raise HttpError(HTTPStatus.BAD_REQUEST, f"{argument} is not a final HTTP status.")
        status = int(argument)
        if status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            await asgi.start(send, status, [])
            await send({"type": "http.response.body"})
            return
        # RFC 9110, 15.3.6: no content in a 205 either, but its length is told.
        content = b"" if status == HTTPStatus.RESET_CONTENT else f"status {status}\n".encode()
        await asgi.respond(send, status, "text/plain", content)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        if scope["path"] != "/ws":
            await _refuse_websocket(scope, send)
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            if (text := message.get("text")) is not None:
                await send({"type": "websocket.send", "text": text})
            else:
                await send({"type": "websocket.send", "bytes": message["bytes"]})


def _query(scope: Scope, name: str) -> str | None:
    values = parse_qs(scope["query_string"].decode("latin-1")).get(name)
    return values[-1] if values else None


async def _send_stream(receive: Receive, send: Send, length: int) -> None:
    if length <= len(stream.BLOCK):
        if length:
            body = stream.BLOCK[:length]
            await send({"type": "http.response.body", "body": body, "more_body": True})
        return
    async with asgi.departure(receive) as gone:
        for number, piece in enumerate(stream.pieces(length)):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            if number % _PIECES_PER_CHECK == 0:
                # Once the client has gone, send() returns at once and never gives way: without
                # this pause the rest of a terabyte would be "sent" with everybody else waiting.
                await asyncio.sleep(0)
                if gone.done():
                    raise asgi.ClientGoneError


async def _refuse_websocket(scope: Scope, send: Send) -> None:
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    content = b"There is no WebSocket here.\n"
    fields = [
        (b"content-type", b"text/plain"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "websocket.http.response.start", "status": 404, "headers": fields})
    await send({"type": "websocket.http.response.body", "body": content})


async def _send_json(send: Send, status: int, value: object, extra: asgi.Headers = ()) -> None:
    content = json.dumps(value, indent=2).encode() + b"\n"
    await asgi.respond(send, status, "application/json", content, extra)


async def _send_html(
    send: Send, status: int, text: str, nonce: str, extra: asgi.Headers = ()
) -> None:
    headers = [("content-security-policy", page.policy(nonce)), *extra]
    await asgi.respond(send, status, "text/html; charset=utf-8", text.encode(), headers)


async def _send_error(scope: Scope, send: Send, error: HttpError) -> None:
    if "text/html" in (asgi.header(scope, "accept") or ""):
        nonce = page.new_nonce()
        title = f"{error.status.value} {error.status.phrase}"
        text = page.render_error(title, error.detail, nonce)
        await _send_html(send, error.status, text, nonce, error.headers)
        return
    value = {"status": error.status.value, "error": error.status.phrase, "detail": error.detail}
    await _send_json(send, error.status, value, error.headers)
