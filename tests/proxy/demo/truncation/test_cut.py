"""Cutting at every byte, however the bytes arrive."""

from __future__ import annotations

import itertools

import pytest

from kssl.proxy.demo.truncation.cut import Cut, Gate
from kssl.proxy.demo.truncation.records import Direction, Observer
from tests.proxy.demo.truncation.wires import FINISHED_13, HELLO, SERVER_FLIGHT_13, record

SIZES = (30, 0, 7)  # behind the headers
BEHIND = b"".join(record(23, size) for size in SIZES)
ENDS = list(itertools.accumulate(size + 5 for size in SIZES))


def passed(cut: Cut, step: int) -> tuple[int, Gate]:
    """How many bytes behind the handshake pass."""
    observer = Observer()
    gate = Gate(cut, observer)
    for _ in observer.feed(Direction.TO_SERVER, HELLO):
        pass
    assert gate.passes(SERVER_FLIGHT_13) == len(SERVER_FLIGHT_13)
    for _ in observer.feed(Direction.TO_SERVER, FINISHED_13):
        pass
    count = 0
    for start in range(0, len(BEHIND), step):
        part = BEHIND[start : start + step]
        passes = gate.passes(part)
        count += passes
        assert passes == len(part) or gate.closed
        if gate.closed:
            assert gate.passes(b"") == 0
    return count, gate


@pytest.mark.parametrize("step", [1, 3, 5, 64, 1000])
def test_after_every_number_of_bytes(step: int) -> None:
    for after in range(len(BEHIND) + 1):
        count, gate = passed(Cut(Direction.TO_CLIENT, after=after), step)
        assert (count, gate.closed) == (after, True)
        assert gate.at is not None
        number, byte = gate.at
        assert sum(size + 5 for size in SIZES[: number - 1]) + byte == after


@pytest.mark.parametrize("step", [1, 3, 5, 64, 1000])
def test_every_byte_of_every_record(step: int) -> None:
    begin = 0
    for number, end in enumerate(ENDS, start=1):
        for byte in range(end - begin + 3):
            count, gate = passed(Cut(Direction.TO_CLIENT, record=number, byte=byte), step)
            assert count == min(begin + byte, end)
            assert gate.at == (number, min(byte, end - begin))
        count, gate = passed(Cut(Direction.TO_CLIENT, record=number), step)
        assert (count, gate.closed) == (end, True)
        begin = end


def test_what_never_comes_is_not_cut() -> None:
    for cut in (
        Cut(Direction.TO_CLIENT, after=len(BEHIND) + 1),
        Cut(Direction.TO_CLIENT, record=len(SIZES) + 1),
    ):
        count, gate = passed(cut, 9)
        assert (count, gate.closed, gate.at) == (len(BEHIND), False, None)


def test_the_cut_comes_with_the_last_byte_not_with_the_next() -> None:
    """The other side may wait for an answer before it sends another byte."""
    _, gate = passed(Cut(Direction.TO_CLIENT, after=len(BEHIND)), len(BEHIND))
    assert gate.closed


@pytest.mark.parametrize(
    "fields",
    [{}, {"after": 1, "record": 1}, {"after": 1, "byte": 1}, {"after": -1}, {"record": 0},
     {"record": 1, "byte": -1}],
    ids=str,
)  # fmt: skip
def test_what_is_no_place(fields: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"bytes|record"):
        Cut(Direction.TO_CLIENT, **fields)  # type: ignore[arg-type]


def test_as_text() -> None:
    assert str(Cut(Direction.TO_CLIENT, after=3)) == "FIN to client after 3 bytes"
    assert str(Cut(Direction.TO_SERVER, record=2, how="RST")) == (
        "RST to server at the end of record 2"
    )
    assert str(Cut(Direction.TO_CLIENT, record=2, byte=4)).endswith("at byte 4 of record 2")
