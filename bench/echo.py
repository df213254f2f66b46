"""``python -m kssl.bench.echo FD``: a WebSocket server that sends back what it gets.

The backend of the WebSocket scenario, as light as there is: it turns the frames of a client into
those of a server (RFC 6455: not masked) and never puts messages together.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import cast

import uvloop

from kssl.bench.errors import BenchError
from kssl.fastpath.ipc.hardening import interpreter

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = b"sec-websocket-key:"
_CLOSE, _PING, _PONG = 8, 9, 10
_LONGEST_HEAD = 16384
_STOP_SECONDS = 5.0


@contextlib.contextmanager
def running() -> Iterator[int]:
    """The port of an echo server on 127.0.0.1, in a process of its own. Raises BenchError."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
        port: int = listener.getsockname()[1]
        process = subprocess.Popen(
            [*interpreter(), "-m", "kssl.bench.echo", str(listener.fileno())],
            # It ends with this pipe, however we end.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(listener.fileno(),),
            process_group=0,
        )
    with process:
        try:
            assert process.stdout is not None
            if not process.stdout.readline():
                raise BenchError("the WebSocket echo server did not start; see its message above")
            yield port
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


class EchoProtocol(asyncio.Protocol):
    """One connection: a handshake, then frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opened = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none of asyncio's classes.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._opened and not self._open():
            return
        out, closes = echo(self._buffer)
        if out:
            self._transport.write(out)
        if closes:
            self._transport.close()

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def _open(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 and len(self._buffer) <= _LONGEST_HEAD:
            return False
        key = find_key(bytes(self._buffer[: max(end, 0)]))
        if key is None:
            self._transport.write(
                b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            self._transport.close()
            return False
        del self._buffer[: end + 4]
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_value(key) + b"\r\n\r\n"
        )
        self._opened = True
        return True


def find_key(head: bytes) -> bytes | None:
    """The client's Sec-WebSocket-Key, or None: not a WebSocket handshake."""
    for line in head.split(b"\r\n"):
        if line.lower().startswith(_KEY):
            return line[len(_KEY) :].strip()
    return None


def accept_value(key: bytes) -> bytes:
    """The answer to that key (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - the RFC's


def echo(buffer: bytearray) -> tuple[bytes, bool]:
    """Takes the complete frames out of ``buffer``: the answer to them, and whether it is the last.

    A frame that is not masked, which no client may send, ends the connection.
    """
    out = bytearray()
    start, closes = 0, False
    while not closes and len(buffer) - start >= 2:
        first, second = buffer[start], buffer[start + 1]
        length, mask_at = second & 0x7F, start + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length = int.from_bytes(buffer[mask_at : mask_at + size])
            mask_at += size
        body_at = mask_at + 4
        if not second & 0x80:
            closes = True
            break
        # A length that has not arrived as a whole is past the end as well.
        if len(buffer) < body_at or len(buffer) < body_at + length:
            break
        body = unmask(buffer[body_at : body_at + length], buffer[mask_at:body_at])
        opcode = first & 0x0F
        if opcode == _PING:
            first = first & 0xF0 | _PONG
        if opcode != _PONG:
            out += _head(first, length)
            out += body
        closes = opcode == _CLOSE
        start = body_at + length
    del buffer[:start]
    return bytes(out), closes


def unmask(body: bytearray, mask: bytearray) -> bytes:
    """The payload (section 5.3): one XOR of two long numbers, which is quick."""
    length = len(body)
    repeated = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(body) ^ int.from_bytes(repeated)).to_bytes(length)


def _head(first: int, length: int) -> bytes:
    if length < 126:
        return bytes((first, length))
    if length < 2**16:
        return bytes((first, 126)) + length.to_bytes(2)
    return bytes((first, 127)) + length.to_bytes(8)


async def _serve(listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    # Nobody writes there: readable means that the parent has gone.
    loop.add_reader(sys.stdin.fileno(), ended.set)
    server = await loop.create_server(EchoProtocol, sock=listener)
    print("ready", flush=True)
    await ended.wait()
    server.close()


if __name__ == "__main__":
    uvloop.run(_serve(socket.socket(fileno=int(sys.argv[1]))))
