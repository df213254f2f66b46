"""Clients of another age, recognised so that the log can say what they are. Sans-I/O.

PCT 1.0 and RC2 are what http.sys did not support in kernel mode in Windows Server 2003 SP1. Here
they, and SSL 2.0, are refused in every profile.

Before SSL 3.0 a record began with a length of two bytes, the first with its high bit set, and its
content with the type of the message. No TLS record and no HTTP request begins with such a byte::

    1lllllll llllllll | type 1, CLIENT-HELLO | version, two bytes      RFC 6101 appendix E
                                               0x0002  SSL 2.0         (SSL 2.0 draft, CLIENT-HELLO)
                                               0x8001  PCT 1.0         (draft-benaloh-pct-01)
                                               0x03xx  SSL 3.0 or TLS, offered in the old format
"""

from __future__ import annotations

from typing import Final

SSL2_HELLO: Final = "Ssl2_Hello"
PCT1_HELLO: Final = "Pct1_Hello"
SSL2_FORMAT_HELLO: Final = "Ssl2_Format_Hello"
NEED_MORE: Final = "need more"
"""Not a word for a log: fewer bytes than `ENOUGH`, and they could become any of the above."""

ENOUGH: Final = 5  # bytes

RC2_SUITE: Final = "Rc2_Suite"

_CLIENT_HELLO = 1
_HIGH_BIT = 0x80
_MAJOR_VERSIONS = (0x00, 0x80, 0x03)

# IANA's TLS Cipher Suites; 0x0061 is among the reserved ones there, its name is from
# draft-ietf-tls-56-bit-ciphersuites-01.
_RC2_SUITES = frozenset(
    {
        b"\x00\x06",  # TLS_RSA_EXPORT_WITH_RC2_CBC_40_MD5
        b"\x00\x27",  # TLS_KRB5_EXPORT_WITH_RC2_CBC_40_SHA
        b"\x00\x2a",  # TLS_KRB5_EXPORT_WITH_RC2_CBC_40_MD5
        b"\x00\x61",  # TLS_RSA_EXPORT1024_WITH_RC2_CBC_56_MD5
    }
)


def recognise(first: bytes) -> str | None:
    """What a client that begins with ``first`` speaks: one of the words above, or None.

    `NEED_MORE` only while the bytes so far fit; a TLS client is let through at its first byte.
    """
    if first and not first[0] & _HIGH_BIT:
        return None
    if len(first) > 2 and first[2] != _CLIENT_HELLO:
        return None
    if len(first) > 3 and first[3] not in _MAJOR_VERSIONS:
        return None
    if len(first) < ENOUGH:
        return NEED_MORE
    version = int.from_bytes(first[3:5], "big")
    if version == 0x0002:
        return SSL2_HELLO
    if version == 0x8001:
        return PCT1_HELLO
    return SSL2_FORMAT_HELLO if first[3] == 3 else None


def includes_rc2(cipher_suites: bytes) -> bool:
    """Of two bytes each, as in a ClientHello."""
    return any(cipher_suites[at : at + 2] in _RC2_SUITES for at in range(0, len(cipher_suites), 2))
