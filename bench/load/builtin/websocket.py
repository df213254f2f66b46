"""WebSocket messages (RFC 6455): sent, and expected back the same."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Generator

from kssl.bench.load.builtin.loop import Wait
from kssl.bench.load.builtin.stream import Stream
from kssl.bench.load.builtin.task import Task

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY = 0x82  # FIN and the opcode
_SHORT = 125  # the longest payload whose length fits into the second byte
_MOST_HEAD = 16384


class Messages:
    """One message over one connection, again and again. At most 125 bytes."""

    def __init__(self, task: Task) -> None:
        if task.size > _SHORT:
            raise ValueError(f"a message of {task.size} bytes; at most {_SHORT}")
        self._task = task
        payload, mask = os.urandom(task.size), os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._message = bytes((_BINARY, 0x80 | task.size)) + mask + masked
        self._echo = bytes((_BINARY, task.size)) + payload
        self._buffer = memoryview(bytearray(16384))

    def upgrade(self, stream: Stream) -> Generator[Wait, None, None]:
        """Raises ValueError unless the answer is 101 with the right key."""
        key = base64.b64encode(os.urandom(16))
        host, port = self._task.address
        yield from stream.send(
            f"GET {self._task.path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key.decode()}\r\n\r\n".encode()
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self._buffer[: (yield from stream.receive(self._buffer))]
            if len(head) > _MOST_HEAD:
                raise ValueError("an answer to the upgrade without end")
            if not head.startswith(b"HTTP/1.1 101 "[: len(head)]):
                break
        accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        if not head.startswith(b"HTTP/1.1 101 ") or accept not in head:
            raise ValueError(f"no WebSocket: {head[:60]!r}")

    def echo(self, stream: Stream) -> Generator[Wait, None, None]:
        """One message there and back. Raises ValueError if another comes back."""
        yield from stream.send(self._message)
        yield from stream.wait()
        got = b""
        while len(got) < len(self._echo):
            got += self._buffer[: (yield from stream.receive(self._buffer))]
        if got != self._echo:
            raise ValueError(f"not the message that was sent: {got[:8]!r} …")
