"""The deterministic byte stream that ``/bytes/N`` sends, and its hash."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator

MAX_LENGTH = 2**40

# The largest prime below 256 KiB: were the period a power of two, two pieces that change places
# on the way, each a whole number of buffers long, would leave the hash as it was.
BLOCK_LENGTH = 262_139
BLOCK = hashlib.shake_256(b"kssl demo stream").digest(BLOCK_LENGTH)

_SUFFIXES = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}


def parse_length(text: str) -> int:
    """A number of bytes as written in a path: ``10``, ``64K``, ``1M``, ``2G``."""
    digits, suffix = text, ""
    if text[-1:].upper() in {"K", "M", "G"}:
        digits, suffix = text[:-1], text[-1].upper()
    # isdecimal() alone takes the digits of other scripts too; 13 digits hold 2^40.
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 13):
        raise ValueError(f"not a number of bytes: {text!r}")
    length = int(digits) * _SUFFIXES[suffix]
    if length > MAX_LENGTH:
        raise ValueError(f"at most {MAX_LENGTH} bytes, not {length}")
    return length


def pieces(length: int, block: bytes = BLOCK) -> Iterator[bytes]:
    """The first ``length`` bytes of ``block`` repeated; whole blocks are never copied."""
    whole, rest = divmod(length, len(block))
    for _ in range(whole):
        yield block
    if rest:
        yield block[:rest]


@functools.lru_cache(maxsize=64)
def stream_sha256(length: int) -> str:
    """The SHA-256, in hexadecimal, of the first ``length`` bytes of the stream."""
    digest = hashlib.sha256()
    for piece in pieces(length):
        digest.update(piece)
    return digest.hexdigest()
