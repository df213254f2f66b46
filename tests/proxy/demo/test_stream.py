"""The deterministic stream."""

from __future__ import annotations

import hashlib

import pytest

from kssl.proxy.demo import stream


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("0", 0),
        ("12", 12),
        ("1K", 1024),
        ("3m", 3 * 2**20),
        ("2G", 2 * 2**30),
        ("1024G", 2**40),
        (str(2**40), 2**40),
    ],
)
def test_lengths(text: str, length: int) -> None:
    assert stream.parse_length(text) == length


@pytest.mark.parametrize(
    "text", ["", "K", "-1", "+1", "1.5", "1KK", "1_0", " 1", "٣", "1T", "1025G", str(2**40 + 1)]
)
def test_what_is_no_length(text: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        stream.parse_length(text)


@pytest.mark.parametrize(
    "length", [0, 1, stream.BLOCK_LENGTH - 1, stream.BLOCK_LENGTH, 2 * stream.BLOCK_LENGTH + 5]
)
def test_pieces_are_the_block_repeated(length: int) -> None:
    assert b"".join(stream.pieces(length)) == (stream.BLOCK * 3)[:length]
    expected = hashlib.sha256((stream.BLOCK * 3)[:length]).hexdigest()
    assert stream.stream_sha256(length) == expected


def test_the_stream_stays_what_it_is() -> None:
    # Recorded results of other versions compare with ours.
    assert (
        stream.stream_sha256(2**20)
        == "48b0ed7871ec0076231a253d294cee1668625d47a574a1356babf154e98869d4"
    )


def test_exchanged_buffers_change_the_hash() -> None:
    step = 2**18
    content = b"".join(stream.pieces(4 * step))
    parts = [content[at : at + step] for at in range(0, len(content), step)]
    assert len(set(parts)) == len(parts)
