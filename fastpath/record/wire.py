"""Constants of the record protocol. Every limit: unit, source, calculation."""

from __future__ import annotations

import enum
import struct
from typing import Final

from kssl.fastpath.tls.errors import Alert
from kssl.fastpath.tls.fragment import MAX_FRAGMENT as MAX_FRAGMENT


class ContentType(enum.IntEnum):
    """RFC 9846 §5.1, RFC 5246 §6.2.1."""

    CHANGE_CIPHER_SPEC = 20
    ALERT = 21
    HANDSHAKE = 22
    APPLICATION_DATA = 23


class AlertLevel(enum.IntEnum):
    """RFC 9846 §6: TLS 1.3 writes the level and never reads it."""

    WARNING = 1
    FATAL = 2


HEADER: Final = struct.Struct(">BHH")
"""type, legacy_record_version, length of what follows (RFC 9846 §5.1)."""

HEADER_LENGTH: Final = 5
VERSION: Final = 0x0303
TAG_LENGTH: Final = 16
"""Bytes of each AEAD here: RFC 5116 §5.1 (GCM), RFC 8439 §2.8 (ChaCha20-Poly1305)."""

EXPANSION_TLS13: Final = 1 + TAG_LENGTH
"""Bytes that TLS 1.3 adds to a fragment without padding: inner content type and tag.

RFC 9846 §5.2 names 2^14 + 256 for what follows the header, for AEADs with a longer tag. With ours,
anything above 2^14 + 17 holds a TLSInnerPlaintext above the 2^14 + 1 bytes that §5.4 allows
(content, type and padding). Both rules end in record_overflow, so one check of the header serves
for both, before the body is read.
"""

MAX_EXPANSION_TLS12: Final = 8 + TAG_LENGTH
"""Bytes that TLS 1.2 GCM adds to a fragment: explicit nonce and tag (RFC 5288 §3).

RFC 5246 §6.2.3 names 2^14 + 2048 for what follows the header, for all its ciphers. What is longer
than 2^14 + the expansion of the suite holds a fragment above 2^14: record_overflow either way.
"""

MAX_EMPTY_RECORDS: Final = 32
"""Application records without content in a row: work for us, nothing for the peer.

RFC 9846 §5.1 allows them as padding and names no limit; BoringSSL's kMaxEmptyRecords.
"""

MAX_KEY_UPDATES: Final = 32
"""KeyUpdates from the peer without application data in between; BoringSSL's kMaxKeyUpdates."""

MAX_TICKETS: Final = 32
"""NewSessionTickets to a client without application data in between. As many as of KeyUpdates:
servers send two, or one for each connection that a client may open next; none is of use here.
"""

MIN_TICKET_LENGTH: Final = 4 + 4 + 1 + 2 + 1 + 2
"""Bytes of a NewSessionTicket's body (RFC 9846 §4.7.1): ticket_lifetime, ticket_age_add, an empty
ticket_nonce, a ticket of one byte, no extensions.
"""

MAX_TICKET_LENGTH: Final = 2**16 + 1024
"""Bytes of a NewSessionTicket's body: the longest ticket (2^16 - 1), the longest ticket_nonce
(255), 13 for the rest that is fixed, and 757 for extensions, of which there is one, of 8 bytes.
"""

MAX_WARNING_ALERTS: Final = 4
"""Alerts that end nothing, without application data in between; BoringSSL's kMaxWarningAlerts."""

MAX_RENEGOTIATIONS: Final = 4
"""Renegotiations that are refused by a warning, on one connection (TLS 1.2). Each costs us an
alert, and a peer that goes on asking did not understand; as many as of warnings.
"""

MAX_CLIENT_HELLO_LENGTH: Final = 2 + 32 + 33 + 2**16 + 256 + 2 + 2**16
"""Bytes of a ClientHello's body, at most (RFC 5246 §7.4.1.2): version, random, session id, suites,
compression methods and extensions, each list with its length.
"""

MAX_OWN_KEY_UPDATES: Final = 2**48 - 1
"""KeyUpdates that a sender may send; a receiver must not enforce it (RFC 9846 §4.7.3)."""

KEY_UPDATE_LENGTH: Final = HEADER_LENGTH + 5 + 1 + TAG_LENGTH
"""Bytes of a sealed KeyUpdate: header, message, inner type, tag."""

ALERT_LENGTH_TLS12: Final = HEADER_LENGTH + 2 + MAX_EXPANSION_TLS12
"""Bytes of a sealed TLS 1.2 alert, at most."""


def alert_record(alert: Alert) -> bytes:
    """Return the alert as a record in plaintext: before there are keys for it."""
    level = AlertLevel.WARNING if alert is Alert.CLOSE_NOTIFY else AlertLevel.FATAL
    return HEADER.pack(ContentType.ALERT, VERSION, 2) + bytes((level, alert))
