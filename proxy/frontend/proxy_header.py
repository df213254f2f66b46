"""The PROXY protocol header, told from TLS and HTTP by its first bytes.

A load balancer that sends one (haproxy.org, "The PROXY protocol", versions 1 and 2) in front of TLS
would otherwise see its connections end without a reason. No I/O.
"""

from __future__ import annotations

V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_V1_STARTS = (b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN")


def proxy_header_version(first: bytes) -> int | None:
    """Return 1 or 2 if a connection's ``first`` bytes are a PROXY header, None if they are not.

    0: they are too few to tell.
    """
    if first.startswith(V2_SIGNATURE):
        return 2
    if first.startswith(_V1_STARTS):
        return 1
    if any(start.startswith(first) for start in (V2_SIGNATURE, *_V1_STARTS)):
        return 0
    return None
