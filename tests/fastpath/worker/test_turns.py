"""Whose frame the worker deals with next: nobody's records wait for many of somebody else's, nor
for a queue of handshakes."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import cast

import pytest
from OpenSSL import SSL

from kssl.fastpath.ipc.frames import KEEP, FrameType, append, pack_begin, parse
from kssl.fastpath.net.quantum import RECORDS, TURN_RECORDS
from kssl.fastpath.tls.keys import ConnectionKeys
from kssl.fastpath.worker import process
from kssl.fastpath.worker.connections import WorkerConnection
from kssl.fastpath.worker.handshake import Established, TlsHandshake
from kssl.fastpath.worker.process import Worker
from tests.fastpath.record.peers import TLS13, Forger, example_keys

COUNT = 10 * RECORDS
Told = tuple[int, int, bytes]  # kind, connection, payload


class _Shaken:
    """A handshake that is done."""

    connection: SSL.Connection | None = None


class Desk:
    """A worker in a thread, with connections that have made their handshakes."""

    def __init__(self) -> None:
        self.front, end = socket.socketpair()
        self.front.settimeout(60)
        self.end = end
        self.worker = Worker(end)
        self.batch = bytearray()
        self.buffer = bytearray()

    def connect(self, identifier: int) -> None:
        client, server = example_keys(TLS13)
        connection = WorkerConnection(
            identifier, cast("TlsHandshake", _Shaken()), False, self.worker._output
        )
        keys = ConnectionKeys(TLS13, read=client, write=server)
        connection.answer(Established(keys, b"", b"", "TLSv1.3", "localhost", "", "", b""))
        self.worker._connections[identifier] = connection
        self.worker._output.flush()
        self.take(lambda told: told[-1][0] == FrameType.ESTABLISHED)

    def say(self, kind: FrameType, identifier: int, payload: bytes = b"") -> None:
        append(self.batch, kind, identifier, payload)

    def run(self, until: Callable[[list[Told]], bool]) -> list[Told]:
        """Everything that was said comes at once. What the worker answers, in order."""
        sender = threading.Thread(target=self.front.sendall, args=(bytes(self.batch),))
        thread = threading.Thread(target=self.worker.run)
        sender.start()
        sender.join(15)
        thread.start()
        told = self.take(until)
        self.front.close()
        thread.join(15)
        assert not thread.is_alive()
        self.end.close()
        return told

    def take(self, until: Callable[[list[Told]], bool]) -> list[Told]:
        told: list[Told] = []
        while not told or not until(told):
            self.buffer += self.front.recv(1 << 20)
            done = 0
            for kind, identifier, start, end in parse(self.buffer, len(self.buffer)):
                told.append((kind, identifier, bytes(self.buffer[start:end])))
                done = end
            del self.buffer[:done]
        return told


@pytest.fixture
def desk() -> Desk:
    return Desk()


def tiny_records(count: int) -> bytes:
    forger = Forger()
    return b"".join(forger.data(b"x") for _ in range(count))


def test_many_records_wait_for_others(desk: Desk) -> None:
    desk.connect(1)
    desk.connect(2)
    desk.say(FrameType.OPEN, 1, tiny_records(COUNT))
    desk.say(FrameType.OPEN, 1)  # what the front end says at FIN
    desk.say(FrameType.OPEN, 2, tiny_records(1))
    desk.say(FrameType.SEAL, 2, b"answer")
    told = desk.run(lambda told: [each[:2] for each in told].count((FrameType.OPENED, 1)) == 2)
    first = [payload for kind, identifier, payload in told if identifier == 1]
    assert max(map(len, first)) == RECORDS
    assert b"".join(first) == b"x" * COUNT
    kinds = [each[:2] for each in told]
    before = kinds[: kinds.index((FrameType.SEALED, 2))]
    assert before.count((FrameType.OPENED_PART, 1)) == 1
    assert (FrameType.OPENED, 2) in before
    # One answer for each OPEN, behind what is told of it.
    assert kinds[-2:] == [(FrameType.OPENED, 1)] * 2


def test_two_share_the_turns(desk: Desk) -> None:
    desk.connect(1)
    desk.connect(2)
    for identifier in (1, 2):
        desk.say(FrameType.OPEN, identifier, tiny_records(COUNT))
    told = desk.run(lambda told: [each[0] for each in told].count(FrameType.OPENED) == 2)
    assert [each[1] for each in told] == [1, 2] * (1 + (COUNT - RECORDS) // TURN_RECORDS)


def test_an_end_in_the_middle_of_an_open(desk: Desk) -> None:
    desk.connect(1)
    desk.connect(2)
    desk.say(FrameType.OPEN, 1, tiny_records(COUNT))
    desk.say(FrameType.END, 1, bytes((KEEP,)))
    desk.say(FrameType.SEAL, 2, b"answer")
    told = desk.run(lambda told: told[-1][0] == FrameType.SEALED)
    assert [each[:2] for each in told] == [(FrameType.OPENED_PART, 1), (FrameType.SEALED, 2)]


def test_records_go_before_handshakes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.connect(1)
    begun: list[int] = []

    def begin(identifier: int, payload: memoryview) -> None:
        assert bytes(payload) == pack_begin(False, 0) + b"hello"
        begun.append(identifier)
        desk.worker._output.frame(FrameType.FAILED, identifier, b"\0\0")

    monkeypatch.setattr(desk.worker, "_begin", begin)
    for identifier in range(2, 50):
        desk.say(FrameType.BEGIN, identifier, pack_begin(False, 0) + b"hello")
    desk.say(FrameType.END, 30, bytes((KEEP,)))  # a client that did not wait
    desk.say(FrameType.SEAL, 1, b"answer")
    told = desk.run(lambda told: told[-1][1] == 49)
    assert told[0][:2] == (FrameType.SEALED, 1)
    assert begun == [each[1] for each in told[1:]] == [*range(2, 30), *range(31, 50)]


class Counted:
    """The worker's end, and how many frames each of its writes had."""

    def __init__(self, end: socket.socket) -> None:
        self.recv_into = end.recv_into
        self.writes: list[int] = []
        self._end = end

    def sendall(self, data: memoryview) -> None:
        self.writes.append(sum(1 for _ in parse(data, len(data))))
        self._end.sendall(data)


def test_handshakes_are_answered_together(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the core is offered between them."""
    counted, offered = Counted(desk.end), []
    monkeypatch.setattr(desk.worker._output, "_sock", counted)
    monkeypatch.setattr(process, "sched_yield", lambda: offered.append(len(counted.writes)))

    def begin(identifier: int, payload: memoryview) -> None:
        desk.worker._output.frame(FrameType.FAILED, identifier, b"\0\0")

    monkeypatch.setattr(desk.worker, "_begin", begin)
    for identifier in range(1, 21):
        desk.say(FrameType.BEGIN, identifier, pack_begin(False, 0) + b"hello")
    desk.run(lambda told: told[-1][1] == 20)
    assert counted.writes == [8, 8, 4]
    assert offered == [0] * 7 + [1] * 8 + [2] * 4


def test_a_record_does_not_wait_for_handshakes_that_answer_together(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.connect(1)
    more = bytearray()
    append(more, FrameType.SEAL, 1, b"answer")

    def begin(identifier: int, payload: memoryview) -> None:
        desk.worker._output.frame(FrameType.FAILED, identifier, b"\0\0")
        if identifier == 4:
            desk.front.sendall(more)

    monkeypatch.setattr(desk.worker, "_begin", begin)
    for identifier in range(2, 22):
        desk.say(FrameType.BEGIN, identifier, pack_begin(False, 0) + b"hello")
    told = desk.run(lambda told: told[-1][1] == 21)
    assert [each[1] for each in told] == [2, 3, 4, 1, *range(5, 22)]
