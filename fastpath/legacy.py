"""Client hellos of protocols before TLS."""
# STAND-IN

from __future__ import annotations

NEED_MORE = "need more"


def recognise(first: bytes) -> str | None:
    if not first or not first[0] & 0x80:
        return None
    if len(first) > 2 and first[2] != 1:
        return None
    if len(first) < 5:
        return NEED_MORE
    if first[3:5] == b"\x00\x02":
        return "Ssl2_Hello"
    if first[3:5] == b"\x80\x01":
        return "Pct1_Hello"
    return "Ssl2_Format_Hello" if first[3] == 3 else None
