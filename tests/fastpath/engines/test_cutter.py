"""Where records end, however they arrive."""

from __future__ import annotations

import pytest

from kssl.fastpath.engines.cutter import MAX_LENGTH, MAX_RECORD, RecordCutter
from tests.fastpath.record.peers import DATA, TLS12, TLS13, Forger, server_layer


def header(kind: int, length: int) -> bytes:
    return bytes((kind, 3, 3)) + length.to_bytes(2, "big")


RECORDS = [
    header(DATA, size) + bytes(range(256)) * (size // 256) + bytes(size % 256)
    for size in (1, 0, 17, 16401, 300, MAX_LENGTH)
]


@pytest.mark.parametrize("step", [1, 2, 5, 6, 1000, 1 << 20])
def test_cut_in_any_division(step: int) -> None:
    cutter, stream = RecordCutter(), b"".join(RECORDS)
    found: list[bytes] = []
    for start in range(0, len(stream), step):
        found += map(bytes, cutter.cut(memoryview(stream[start : start + step])))
    assert found == RECORDS
    assert cutter.missing == 5


def test_reading_what_is_missing_never_passes_a_record() -> None:
    cutter, stream = RecordCutter(), b"".join(RECORDS)
    found = []
    position = reads = 0
    while position < len(stream):
        piece = stream[position : position + cutter.missing]
        position += len(piece)
        reads += 1
        if (record := cutter.add(memoryview(piece))) is not None:
            found.append(bytes(record))
    assert found == RECORDS
    assert reads == 2 * len(RECORDS) - 1  # the empty one is complete with its header


def test_an_incomplete_record_is_held() -> None:
    cutter = RecordCutter()
    assert not list(cutter.cut(memoryview(RECORDS[4][:-1])))
    assert cutter.missing == 1
    assert [bytes(record) for record in cutter.cut(memoryview(RECORDS[4][-1:]))] == [RECORDS[4]]


def test_longest() -> None:
    """Every record that a peer may send fits, and nothing longer is waited for."""
    assert len(Forger(TLS12).data(bytes(16384))) == MAX_RECORD
    assert len(Forger(TLS13).data(bytes(16384))) <= MAX_RECORD
    for kind in range(256):
        for length in (MAX_LENGTH, MAX_LENGTH + 1, 0xFFFF):
            cutter = RecordCutter()
            passed = cutter.add(memoryview(header(kind, length)))
            waits = 21 <= kind <= 23 and length <= MAX_LENGTH
            assert (passed is None) == waits
            assert cutter.missing == (length if waits else 5)


@pytest.mark.parametrize("suite", [TLS12, TLS13], ids=["TLS1.2", "TLS1.3"])
def test_a_header_that_is_passed_on_alone_is_refused(suite: object) -> None:
    """So nobody waits for the rest of what is no record."""
    lengths = (1, 16, 16401, MAX_LENGTH, MAX_LENGTH + 1, 0x2F20, 0xFFFF)
    for kind in range(256):
        for length in lengths:
            alone = RecordCutter().add(memoryview(header(kind, length)))
            if alone is not None:
                layer = server_layer(TLS12 if suite is TLS12 else TLS13)
                layer.feed(bytes(alone))
                assert layer.error is not None, (kind, length)
