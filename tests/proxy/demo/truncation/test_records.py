"""What is seen of records: types, sizes, and which of them stand behind the handshake."""

from __future__ import annotations

import pytest

from kssl.proxy.demo.truncation.records import Direction, Observer, Piece
from tests.proxy.demo.truncation.wires import (
    CHANGE,
    FINISHED_12,
    FINISHED_13,
    HELLO,
    SERVER_FLIGHT_12,
    SERVER_FLIGHT_13,
    record,
)

CLIENT, SERVER = Direction.TO_SERVER, Direction.TO_CLIENT  # who speaks

TLS_13 = [
    (CLIENT, HELLO),
    (SERVER, SERVER_FLIGHT_13),
    (CLIENT, FINISHED_13 + record(23, 100)),
    (SERVER, record(23, 200) + record(23, 201) + record(23, 19)),
    (CLIENT, record(23, 19)),
]
TLS_12 = [
    (CLIENT, HELLO),
    (SERVER, SERVER_FLIGHT_12),
    (CLIENT, FINISHED_12 + record(23, 100)),
    # With false start the server's last flight comes behind the client's first data.
    (SERVER, record(22, 200) + CHANGE + record(22, 40) + record(23, 201) + record(21, 26)),
    (CLIENT, record(21, 26)),
]


def feed(observer: Observer, direction: Direction, data: bytes, step: int) -> list[Piece]:
    pieces = []
    for start in range(0, len(data), step):
        pieces += list(observer.feed(direction, data[start : start + step]))
    return pieces


@pytest.mark.parametrize("step", [1, 2, 3, 7, 100_000])
@pytest.mark.parametrize(
    ("flights", "tls13", "to_server", "to_client"),
    [
        (TLS_13, True, [(23, 105), (23, 24)], [(23, 205), (23, 206), (23, 24)]),
        (TLS_12, False, [(23, 105), (21, 31)], [(23, 206), (21, 31)]),
    ],
    ids=["1.3", "1.2"],
)
def test_what_stands_behind_the_handshake(
    flights: list[tuple[Direction, bytes]],
    tls13: bool,
    to_server: list[tuple[int, int]],
    to_client: list[tuple[int, int]],
    step: int,
) -> None:
    observer = Observer()
    for direction, data in flights:
        feed(observer, direction, data, step)
    assert observer.tls13 is tls13
    for direction, wanted in ((CLIENT, to_server), (SERVER, to_client)):
        found = observer.records(direction)
        assert [(seen.type, seen.size) for seen in found] == wanted
        assert [seen.number for seen in found] == list(range(1, len(wanted) + 1))
        assert all(seen.complete for seen in observer.records(direction, handshake=True))


@pytest.mark.parametrize("step", [1, 4, 5, 6, 1000])
def test_pieces_are_all_that_was_fed(step: int) -> None:
    observer, data = Observer(), SERVER_FLIGHT_13 + record(23, 0) + record(23, 5)
    offsets: dict[int, int] = {}
    for start in range(0, len(data), step):
        part, position = data[start : start + step], 0
        for piece in observer.feed(SERVER, part):
            assert piece.start == position
            assert piece.offset == offsets.get(id(piece.record), 0)
            offsets[id(piece.record)] = piece.offset + piece.end - piece.start
            position = piece.end
        assert position == len(part)
    assert [seen.size for seen in observer.records(SERVER, handshake=True)] == [
        45, 6, 35, 55, 5, 10,
    ]  # fmt: skip


def test_a_record_that_is_not_complete() -> None:
    observer = Observer()
    feed(observer, SERVER, record(23, 100)[:4], 9)
    (seen,) = observer.records(SERVER, handshake=True)
    assert (seen.size, seen.seen, seen.complete) == (0, 4, False)
    feed(observer, SERVER, record(23, 100)[4:50], 9)
    assert (seen.size, seen.seen, seen.complete) == (105, 50, False)


def test_content() -> None:
    observer = Observer()
    feed(observer, SERVER, record(23, 19), 99)
    assert observer.records(SERVER, handshake=True)[0].content == 2  # an alert
