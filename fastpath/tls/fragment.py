"""The largest fragment of a record, and max_fragment_length, by which a client asks for less.

OpenSSL agrees to the extension (RFC 6066 §4) by itself and keeps to it in the handshake; all that
is sent and received later is the record layer's, which must know what was agreed to.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

MAX_FRAGMENT: Final = 2**14
"""Bytes of content in one record (RFC 9846 §5.1, RFC 5246 §6.2.1)."""

MAX_FRAGMENT_LENGTH: Final = 1
"""ExtensionType (RFC 6066 §1.1)."""

SIZES: Final[Mapping[bytes, int]] = MappingProxyType(
    {b"\x01": 2**9, b"\x02": 2**10, b"\x03": 2**11, b"\x04": 2**12}
)
"""The extension's content → bytes of content in one record (RFC 6066 §4)."""

MIN_FRAGMENT: Final = min(SIZES.values())
"""The smallest largest fragment, in bytes."""
