"""Requests, and replies that must be complete and good."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Generator

from kssl.bench.load.builtin.loop import Wait
from kssl.bench.load.builtin.stream import Stream
from kssl.bench.load.builtin.task import Task

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_GOOD = re.compile(rb"HTTP/1\.1 2\d\d ")
_MOST_HEAD = 65536


def requests(task: Task, *, close: bool = False) -> Callable[[], bytes]:
    """A function that gives the next request."""
    method, body = "GET", b""
    fields = [f"Host: {task.address[0]}:{task.address[1]}"]
    if task.body is not None:
        with open(task.body, "rb") as file:
            body = file.read()
        method = "POST"
        fields += [f"Content-Type: {task.content_type}", f"Content-Length: {len(body)}"]
    if close:
        fields.append("Connection: close")
    head = "\r\n".join([f"{method} {task.path} HTTP/1.1", *fields, ""]).encode()
    whole = head + b"\r\n" + body
    if not task.varied:
        return lambda: whole
    numbers = itertools.count(1)
    return lambda: b"%sX-Request-Number: %d\r\n\r\n%s" % (head, next(numbers), body)


class ReplyReader:
    """Reads replies whole. ``size`` is what the body must have, None: whatever is told."""

    def __init__(self, size: int | None) -> None:
        self._size = size
        self._buffer = memoryview(bytearray(256 * 1024))  # of all connections: nothing stays in it

    def read(self, stream: Stream) -> Generator[Wait, None, None]:
        """Raises ValueError for a reply that is not good, ConnectionError for one cut short."""
        buffer = self._buffer
        head, end = b"", -1
        yield from stream.wait()
        while end < 0:
            head += buffer[: (yield from stream.receive(buffer))]
            end = head.find(b"\r\n\r\n")
            if end < 0 and len(head) > _MOST_HEAD:
                raise ValueError("a reply's head without end")
        length = _LENGTH.search(head, 0, end + 2)
        if _GOOD.match(head) is None or length is None:
            raise ValueError(f"not a good reply: {head[:60]!r}")
        if self._size is not None and int(length[1]) != self._size:
            raise ValueError(f"a body of {int(length[1])} bytes instead of {self._size}")
        left = int(length[1]) - (len(head) - end - 4)
        while left > 0:
            left -= yield from stream.receive(buffer)
        if left:
            raise ValueError("more bytes than the reply's length")
