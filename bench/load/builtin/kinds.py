"""The kinds of load: what each connection does."""

from __future__ import annotations

import select
import ssl
import sys
import time
from collections.abc import Callable, Iterator

from kssl.bench.load.builtin.http import ReplyReader, requests
from kssl.bench.load.builtin.loop import Loop, Steps
from kssl.bench.load.builtin.stream import open_stream
from kssl.bench.load.builtin.task import Task
from kssl.bench.load.builtin.websocket import Messages
from kssl.bench.load.builtin.window import Window, tell

# How many idle connections come up at the same time.
_AT_ONCE = 64

_LOOK_SECONDS = 0.005


def start(task: Task, loop: Loop, context: ssl.SSLContext | None, window: Window) -> None:
    """Starts all connections. Raises ValueError for a kind that there is not."""
    kinds: dict[str, Callable[[Task, Loop, ssl.SSLContext | None, Window], Iterator[Steps]]] = {
        "reply": _replies,
        "connections": _replies,
        "upload": _replies,
        "handshake": _handshakes,
        "websocket": _websockets,
        "paced": _paced,
        "idle": _idle,
    }
    if task.kind not in kinds:
        raise ValueError(f"no kind {task.kind!r}")
    for steps in kinds[task.kind](task, loop, context, window):
        loop.start(steps)
    if task.kind != "idle":
        loop.start(window.conduct(loop))


def _replies(
    task: Task, loop: Loop, context: ssl.SSLContext | None, window: Window
) -> Iterator[Steps]:
    """The next request when the reply is there."""
    request = requests(task)
    reader = ReplyReader(None if task.body else task.size)

    def one() -> Steps:
        stream = yield from open_stream(loop, task.address, context)
        window.one_is_up()
        while True:
            began = time.perf_counter()
            yield from stream.send(request())
            yield from reader.read(stream)
            window.count(began)

    return (one() for _ in range(task.connections))


def _handshakes(
    task: Task, loop: Loop, context: ssl.SSLContext | None, window: Window
) -> Iterator[Steps]:
    """One request for each connection, then another connection."""
    request = requests(task, close=True)
    reader = ReplyReader(task.size)

    def one() -> Steps:
        session: ssl.SSLSession | None = None
        first = True
        while True:
            began = time.perf_counter()
            stream = yield from open_stream(loop, task.address, context, session)
            if stream.reused != (task.resumed and not first):
                raise ValueError(
                    "a session was resumed" if stream.reused else "the session was not resumed"
                )
            yield from stream.send(request())
            yield from reader.read(stream)
            yield from stream.expect_end()
            if task.resumed:
                session = stream.session
                if session is None or (not session.has_ticket and not session.id):
                    raise ValueError("the proxy offers no session to resume")
            stream.close()
            window.count(began)
            if first:
                window.one_is_up()
            first = False

    return (one() for _ in range(task.connections))


def _websockets(
    task: Task, loop: Loop, context: ssl.SSLContext | None, window: Window
) -> Iterator[Steps]:
    """The next message when the last has come back."""
    messages = Messages(task)

    def one() -> Steps:
        stream = yield from open_stream(loop, task.address, context)
        yield from messages.upgrade(stream)
        window.one_is_up()
        while True:
            began = time.perf_counter()
            yield from messages.echo(stream)
            window.count(began)

    return (one() for _ in range(task.connections))


def _paced(
    task: Task, loop: Loop, context: ssl.SSLContext | None, window: Window
) -> Iterator[Steps]:
    """Requests at fixed times. A request that is late because the reply before it was counts
    from the time that it should have gone out."""
    assert task.rate is not None
    request = requests(task)
    reader = ReplyReader(task.size)
    every = task.connections / task.rate

    def one(number: int) -> Steps:
        stream = yield from open_stream(loop, task.address, context)
        window.one_is_up()
        while not window.all_up:
            yield time.perf_counter() + _LOOK_SECONDS
        due = time.perf_counter() + number / task.connections * every
        while True:
            if due > time.perf_counter():
                yield due
            yield from stream.send(request())
            yield from reader.read(stream)
            window.count(due)
            due += every

    return (one(number) for number in range(task.connections))


def _idle(
    task: Task, loop: Loop, context: ssl.SSLContext | None, window: Window
) -> Iterator[Steps]:
    """One reply on each connection, then nothing until standard input ends."""
    request = requests(task, close=False)
    reader = ReplyReader(task.size)
    numbers = iter(range(task.connections))
    kept = []

    def opener() -> Steps:
        for _ in numbers:
            stream = yield from open_stream(loop, task.address, context)
            yield from stream.send(request())
            yield from reader.read(stream)
            window.one_is_up()
            kept.append(stream)
            loop.start(stream.expect_silence())
            if window.all_up:
                tell("begin", time.perf_counter())
                loop.start(until_released())

    def until_released() -> Steps:
        yield sys.stdin.fileno(), select.EPOLLIN
        yield time.perf_counter()  # one more turn: to hear of those that have been closed
        loop.stop()

    return (opener() for _ in range(_AT_ONCE))
