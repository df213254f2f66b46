"""Frames: whole, in pieces, and refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kssl.fastpath.ipc.frames import (
    BEGIN,
    HEADER,
    HEADER_SIZE,
    MAX_PAYLOAD,
    FrameType,
    Joined,
    append,
    pack_begin,
    pack_certificates,
    pack_established,
    pack_failed,
    parse,
    pieces,
    unpack_certificates,
    unpack_established,
)

FRAMES = st.lists(
    st.tuples(st.sampled_from(FrameType), st.integers(0, 2**32 - 1), st.binary(max_size=200)),
    max_size=8,
)
Told = list[tuple[int, int, bytes]]


def parsed(data: bytes) -> tuple[Told, bytes]:
    """The frames in ``data`` and what is behind the last one."""
    view, frames, done = memoryview(data), [], 0
    for kind, connection, start, end in parse(view, len(data)):
        frames.append((kind, connection, bytes(view[start:end])))
        done = end
    return frames, data[done:]


@given(FRAMES, st.data())
def test_split_at_any_byte(frames: Told, data: st.DataObject) -> None:
    batch = bytearray()
    for kind, connection, payload in frames:
        append(batch, FrameType(kind), connection, payload)
    split = data.draw(st.integers(0, len(batch)))
    first, rest = parsed(bytes(batch[:split]))
    second, nothing = parsed(rest + bytes(batch[split:]))
    assert first + second == frames
    assert nothing == b""


def test_only_the_received_part_of_the_buffer_counts() -> None:
    batch = bytearray()
    append(batch, FrameType.OPEN, 7, b"records")
    append(batch, FrameType.END, 7, b"\1")
    ends = [end for *_, end in parse(batch, HEADER_SIZE + 7 + HEADER_SIZE)]
    assert ends == [HEADER_SIZE + 7]


@pytest.mark.parametrize("length", [MAX_PAYLOAD, MAX_PAYLOAD + 4096])
def test_the_largest_frames(length: int) -> None:
    batch = HEADER.pack(length, 1, FrameType.OPEN) + bytes(length)
    assert [end - start for _, _, start, end in parse(bytearray(batch), len(batch))] == [length]


@pytest.mark.parametrize("length", [MAX_PAYLOAD + 4097, 2**32 - 1])
def test_oversize_is_refused_by_the_header_alone(length: int) -> None:
    header = bytearray(HEADER.pack(length, 1, FrameType.OPEN))
    with pytest.raises(ValueError, match="more than 262144"):
        list(parse(header, len(header)))


@given(st.binary(max_size=300))
def test_nonsense_never_does_more_than_raise_value_error(data: bytes) -> None:
    try:
        frames, rest = parsed(data)
    except ValueError:
        return
    assert sum(HEADER_SIZE + len(payload) for *_, payload in frames) + len(rest) == len(data)


@given(
    st.binary(),
    st.binary(),
    st.binary(),
    st.binary(),
    st.binary(max_size=32),
    st.lists(st.binary()),
)
def test_established(
    flight: bytes,
    keys: bytes,
    info: bytes,
    leftover: bytes,
    session_id: bytes,
    certificates: list[bytes],
) -> None:
    packed = pack_certificates(certificates)
    told = (flight, keys, info, leftover, session_id, packed)
    assert unpack_established(memoryview(pack_established(*told))) == told
    assert list(unpack_certificates(packed)) == certificates


@pytest.mark.parametrize("size", [0, 1, MAX_PAYLOAD - 1, MAX_PAYLOAD, 3 * MAX_PAYLOAD + 7])
def test_pieces_are_joined_again(size: int) -> None:
    payload = bytes(index % 251 for index in range(size))
    joined = Joined()
    for _ in range(2):  # it can be used again
        cut = list(pieces(payload))
        assert max(map(len, cut)) <= MAX_PAYLOAD
        assert [joined.add(memoryview(piece)) for piece in cut] == [None] * (len(cut) - 1) + [
            payload
        ]
        assert len(cut) == max(1, -(-size // (MAX_PAYLOAD - 1)))


@pytest.mark.parametrize("kernel_mode", [True, False])
@pytest.mark.parametrize("endpoint", [0, 1, 258, 65535])
def test_begin(kernel_mode: bool, endpoint: int) -> None:
    packed = pack_begin(kernel_mode, endpoint)
    assert packed == bytes([kernel_mode]) + endpoint.to_bytes(2, "little")
    assert BEGIN.unpack(packed) == (kernel_mode, endpoint)


def test_failed() -> None:
    assert pack_failed(b"alert", "why: ä") == b"\x05\x00alertwhy: \xc3\xa4"


def test_the_types_have_different_numbers_and_fit_a_byte() -> None:
    assert len({int(kind) for kind in FrameType}) == len(FrameType.__members__)
    assert all(0 < kind < 256 for kind in FrameType)
