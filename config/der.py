"""DER as far as it is read here without a library (X.690 §8.1): the elements of a value."""

from __future__ import annotations

from collections.abc import Iterator


def elements(der: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the tag, and start and end of the content, of each element; tags are of one byte.

    Raises ValueError or IndexError for what is not DER.
    """
    while at < end:
        kind, length, start = der[at], der[at + 1], at + 2
        if length >= 0x80:
            start += length & 0x7F
            length = int.from_bytes(der[at + 2 : start], "big")
        at = start + length
        if at > end:
            raise ValueError("an element is longer than what it is in")
        yield kind, start, at


def encoded(tag: int, content: bytes) -> bytes:
    """Return one element."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    size = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | size)) + length.to_bytes(size, "big") + content
