"""`Descriptor`: whole lines in pipes and files, also after a half one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from kssl.fastpath.logs.descriptor import Descriptor
from kssl.fastpath.logs.writer import LineWriter

SECONDS = 60.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_pipe_gets_whole_lines_in_pieces_that_nobody_cuts(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    sink = Descriptor(writing, own=False)
    data = b"".join(b"%d %b\n" % (number, b"x" * 300) for number in range(40))
    done, pieces = 0, []
    while done < len(data):
        before, done = done, sink.write(data, done)
        pieces.append(os.read(reading, 1 << 16))
        assert pieces[-1] == data[before:done]
    assert all(len(piece) <= select.PIPE_BUF for piece in pieces)
    assert all(piece.endswith(b"\n") for piece in pieces)
    assert len(pieces) > 2


def test_a_line_that_is_longer_than_a_piece(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    sink = Descriptor(writing, own=False)
    data = b"x" * 10_000 + b"\n"
    done = 0
    while done < len(data):
        done = sink.write(data, done)
    assert os.read(reading, 1 << 16) == data


def test_flags_stay(pipe: tuple[int, int]) -> None:
    before = fcntl.fcntl(pipe[1], fcntl.F_GETFL)
    Descriptor(pipe[1], own=False).write(b"a\n", 0)
    assert fcntl.fcntl(pipe[1], fcntl.F_GETFL) == before


@pytest.mark.parametrize("blocking", [True, False])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_reader_that_comes_late_gets_all(kind: str, blocking: bool) -> None:
    """Also where somebody else has set O_NONBLOCK."""
    if kind == "pipe":
        reading, writing = os.pipe()
    else:
        reading, writing = (end.detach() for end in socket.socketpair())
    os.set_blocking(writing, blocking)
    lines = b"".join(b"%06d\n" % number for number in range(100_000))
    writer = LineWriter(
        Descriptor(writing, own=True), name="log", limit=len(lines), remark=b"#%d lost\n"
    )
    try:
        writer.write(lines)
        writer.retire(SECONDS)
        read = b""
        while part := os.read(reading, 1 << 16):
            read += part
        assert read == lines
        assert writer.lost == 0
    finally:
        os.close(reading)


@pytest.mark.parametrize("before", [b"", b"whole\n", b"half", b"whole\nhalf"])
def test_a_half_line_of_before_is_ended(tmp_path: Path, before: bytes) -> None:
    path = tmp_path / "log"
    path.write_bytes(before)
    sink = Descriptor(os.open(path, os.O_WRONLY | os.O_APPEND), own=True)
    try:
        assert sink.write(b"one\n", 0) == 4
        assert sink.write(b"two\n", 0) == 4
    finally:
        sink.close()
    ended = before + b"\n" if before and not before.endswith(b"\n") else before
    assert path.read_bytes() == ended + b"one\ntwo\n"


def test_what_is_not_own_stays_open(pipe: tuple[int, int]) -> None:
    sink = Descriptor(pipe[1], own=False)
    sink.close()
    sink.write(b"on\n", 0)
    assert os.read(pipe[0], 10) == b"on\n"


def test_waiting(pipe: tuple[int, int]) -> None:
    reading, writing = pipe
    os.set_blocking(writing, False)
    sink = Descriptor(writing, own=False)
    assert sink.wait(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            sink.write(b"x" * 4096, 0)
    assert not sink.wait(0)
    os.read(reading, 1 << 16)
    assert sink.wait(SECONDS)
