"""`LineWriter`: never waits, keeps the order, counts and tells what is lost."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from kssl.fastpath.logs import writer as writer_module
from kssl.fastpath.logs.writer import LineWriter

SECONDS = 60.0


class Stream:
    """A sink that a test opens and shuts. It takes nothing until `open`."""

    def __init__(self) -> None:
        self.data = b""
        self.gate = threading.Event()
        self.waiting = threading.Event()
        self.closed = threading.Event()
        self.most = 1 << 20
        self.errors: list[OSError] = []

    def write(self, data: bytes, start: int) -> int:
        self.waiting.set()
        assert self.gate.wait(SECONDS)
        if self.errors:
            raise self.errors.pop(0)
        part = data[start : start + self.most]
        self.data += part
        return start + len(part)

    def wait(self, seconds: float) -> bool:
        return self.gate.is_set()

    def close(self) -> None:
        self.closed.set()


@pytest.fixture
def stream() -> Iterator[Stream]:
    made = Stream()
    yield made
    made.gate.set()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "RETRY", 0.001)


def open_writer(
    stream: Stream, limit: int = 1000, tell: Callable[[str], None] = lambda text: None
) -> LineWriter:
    return LineWriter(stream, name="a log", limit=limit, remark=b"#%d lost\n", tell=tell)


def finish(writer: LineWriter, stream: Stream) -> bytes:
    stream.gate.set()
    assert writer.close(SECONDS)
    assert stream.closed.is_set()
    return stream.data


def test_all_lines_in_order(stream: Stream) -> None:
    stream.gate.set()
    stream.most = 7
    writer = open_writer(stream, limit=1 << 20)
    lines = [b"%d\n" % number for number in range(5000)]
    for line in lines:
        writer.write(line)
    assert finish(writer, stream) == b"".join(lines)
    assert writer.lost == 0


def test_no_thread_without_a_line(stream: Stream) -> None:
    before = threading.active_count()
    writer = open_writer(stream)
    assert threading.active_count() == before
    assert writer.close(0)
    assert stream.closed.is_set()


def test_what_does_not_fit_is_counted_and_told_in_its_place(stream: Stream) -> None:
    told: list[str] = []
    writer = open_writer(stream, limit=40, tell=told.append)
    writer.write(b"taken by the thread\n")
    assert stream.waiting.wait(SECONDS)
    writer.write(b"waits\n")
    writer.write(b"is far too long to fit in\nand has two lines\n")
    writer.write(b"x\n")  # would fit, but must not come before the remark
    assert writer.lost == 3
    assert len(told) == 1
    assert "a log: lines are lost" in told[0]
    stream.gate.set()
    while not stream.data.endswith(b"lost\n"):  # the thread goes on by itself
        stream.waiting.clear()
        stream.waiting.wait(0.01)
    writer.write(b"after\n")
    assert finish(writer, stream) == b"taken by the thread\nwaits\n#3 lost\nafter\n"


def test_one_piece_that_is_too_long(stream: Stream) -> None:
    stream.gate.set()
    writer = open_writer(stream, limit=10)
    writer.write(b"more than ten bytes\n")
    assert finish(writer, stream) == b"#1 lost\n"


def test_the_bound_holds(stream: Stream) -> None:
    writer = open_writer(stream, limit=1000)
    writer.write(b"123456789\n")
    assert stream.waiting.wait(SECONDS)
    for _ in range(9_999):
        writer.write(b"123456789\n")
    assert writer.lost == 9_900
    data = finish(writer, stream)
    assert data == b"123456789\n" * 100 + b"#9900 lost\n"


def test_a_full_disk_loses_nothing_that_is_held(stream: Stream) -> None:
    """And a line that was written in part is completed."""
    told: list[str] = []
    no_room = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    writer = open_writer(stream, tell=told.append)
    stream.most = 3
    stream.errors = [no_room] * 5
    writer.write(b"first\n")
    assert stream.waiting.wait(SECONDS)
    writer.write(b"second\n")
    stream.gate.set()
    while not stream.data:
        stream.waiting.clear()
        stream.waiting.wait(0.01)
    stream.errors = [no_room]
    assert finish_later(writer, stream) == b"first\nsecond\n"
    assert told[0] == "a log: No space left on device; lines are kept for a while, then lost"
    assert "a log: written again" in told


def finish_later(writer: LineWriter, stream: Stream) -> bytes:
    """As `finish`, but only when all is written: the end would not try twice."""
    while stream.data.count(b"\n") < 2:
        stream.waiting.clear()
        stream.waiting.wait(0.01)
    return finish(writer, stream)


def test_a_stream_that_never_takes_anything_does_not_hold_up_the_end(stream: Stream) -> None:
    writer = open_writer(stream)
    writer.write(b"stuck\n")
    assert stream.waiting.wait(SECONDS)
    assert not writer.close(0.0)


def test_what_is_not_written_at_the_end_is_counted(stream: Stream) -> None:
    stream.gate.set()
    stream.errors = [BlockingIOError(), *[BrokenPipeError()] * 1000]
    writer = open_writer(stream)
    writer.write(b"one\ntwo\n")
    writer.write(b"three\n")
    assert writer.close(SECONDS)
    assert stream.data == b""
    assert writer.lost == 3


def test_after_the_end_something_may_still_be_said(stream: Stream) -> None:
    stream.gate.set()
    writer = open_writer(stream)
    writer.write(b"one\n")
    assert writer.close(SECONDS)
    writer.write(b"last words\n")
    assert stream.data == b"one\nlast words\n"
    stream.gate.clear()
    writer.write(b"nobody listens\n")
    assert writer.lost == 1


def test_many_threads(stream: Stream) -> None:
    stream.gate.set()
    writer = open_writer(stream, limit=1 << 20)

    def write(number: int) -> None:
        for count in range(500):
            writer.write(b"%d %d\n" % (number, count))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = [tuple(map(int, line.split())) for line in finish(writer, stream).splitlines()]
    assert len(lines) == 4000
    for number in range(8):
        assert [count for who, count in lines if who == number] == list(range(500))


def test_a_line_from_within(stream: Stream) -> None:
    """A finaliser may log while the writer is at work in the same thread."""
    stream.gate.set()
    writer = open_writer(stream)
    with writer._lock:
        writer.write(b"inner\n")
    assert finish(writer, stream) == b"inner\n"


def test_a_system_without_threads(stream: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    stream.gate.set()
    writer = open_writer(stream)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        writer.write(b"one\n")
    writer.write(b"two\n")
    assert finish(writer, stream) == b"one\ntwo\n"


def test_a_system_without_threads_until_the_end(
    stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    stream.gate.set()
    writer = open_writer(stream)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    writer.write(b"one\n")
    writer.write(b"two\n")
    assert finish(writer, stream) == b"one\ntwo\n"
