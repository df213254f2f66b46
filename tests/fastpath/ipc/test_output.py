"""The worker's batch of answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from kssl.fastpath.ipc.frames import MAX_PAYLOAD, FrameType, parse
from kssl.fastpath.ipc.output import Output

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def sockets() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(60)
        theirs.settimeout(60)
        yield ours, theirs


def frames(data: bytes) -> list[tuple[int, int, bytes]]:
    return [
        (kind, connection, data[start:end])
        for kind, connection, start, end in parse(bytearray(data), len(data))
    ]


def test_nothing_leaves_before_flush_and_nothing_twice(sockets: Pair) -> None:
    ours, theirs = sockets
    output = Output(theirs)
    output.frame(FrameType.EMIT, 1, b"one")
    room = output.reserve(100)
    room[:3] = b"two"
    output.commit(FrameType.OPENED, 2, 3)
    ours.setblocking(False)
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    output.flush()
    output.flush()
    told = frames(ours.recv(1000))
    assert told == [(FrameType.EMIT, 1, b"one"), (FrameType.OPENED, 2, b"two")]
    with pytest.raises(BlockingIOError):
        ours.recv(1)


def test_a_full_batch_is_flushed_to_make_room(sockets: Pair) -> None:
    ours, theirs = sockets
    received = bytearray()

    def read() -> None:
        while data := ours.recv(1 << 20):
            received.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    output = Output(theirs)
    sent = [bytes([number]) * MAX_PAYLOAD for number in range(9)]
    for number, payload in enumerate(sent):
        output.frame(FrameType.OPENED, number, payload)
    output.flush()
    theirs.shutdown(socket.SHUT_WR)
    reader.join(60)
    told = frames(bytes(received))
    assert told == [(FrameType.OPENED, number, payload) for number, payload in enumerate(sent)]
